//! Rules as data. Each rule is declared beside the code that applies it; this file gives each one its [`RuleId`].

use std::cmp::Ordering;
use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// Which of the two laws a finding breaks (`ARCHITECTURE.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// A principal lost something.
    Conservation,
    /// A principal gained something.
    Containment,
}

impl Law {
    /// Name of the law in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conservation => "conservation",
            Self::Containment => "containment",
        }
    }
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// A consequence to accept knowingly.
    Warning,
    /// The shapes are not equivalent.
    Error,
}

impl Severity {
    /// Name of the severity in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Titles of the columns in which the report for people shows a rule's findings.
#[derive(Debug, PartialEq, Eq)]
pub struct Columns {
    /// Above the subjects.
    pub subject: &'static str,
    /// Above the principals.
    pub principal: &'static str,
    /// Above the values of things that are new.
    pub gained: &'static str,
}

/// A rule of comparisons: it fires when two documents differ.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Identity; its meaning never changes.
    pub id: RuleId,
    /// The law that the rule guards. A finding names the other one if the rule guards both.
    pub law: Law,
    /// Weight of its findings.
    pub severity: Severity,
    /// Titles of the columns in which people see its findings.
    pub columns: Columns,
    /// One line.
    pub summary: &'static str,
    /// What it catches, why that matters, and an example; `explain` prints it.
    pub doc: &'static str,
}

/// A rule of the scan: it fires on a reference that the migration breaks, and guards no law.
#[derive(Debug, PartialEq, Eq)]
pub struct ScanRule {
    /// Identity; its meaning never changes.
    pub id: RuleId,
    /// Weight of its findings.
    pub severity: Severity,
    /// One line.
    pub summary: &'static str,
    /// What it catches, why that matters, and an example; `explain` prints it.
    pub doc: &'static str,
    /// What to write instead; `{daemon}` and `{port}` are those of the daemon that the reference names.
    pub advice: &'static str,
}

/// What all rules have, for lists of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// Identity; its meaning never changes.
    pub id: RuleId,
    /// The law that the rule guards; `None` for rules of the scan.
    pub law: Option<Law>,
    /// Weight of its findings.
    pub severity: Severity,
    /// One line.
    pub summary: &'static str,
    /// What it catches, why that matters, and an example.
    pub doc: &'static str,
}

/// A rule of either kind.
#[derive(Clone, Copy, Debug)]
pub enum Declaration {
    /// Of comparisons.
    Comparison(&'static Rule),
    /// Of the scan.
    Scan(&'static ScanRule),
}

impl From<&'static Rule> for Declaration {
    fn from(rule: &'static Rule) -> Self {
        Self::Comparison(rule)
    }
}

impl From<&'static ScanRule> for Declaration {
    fn from(rule: &'static ScanRule) -> Self {
        Self::Scan(rule)
    }
}

impl From<Declaration> for Description {
    fn from(declaration: Declaration) -> Self {
        match declaration {
            Declaration::Comparison(&Rule { id, law, severity, summary, doc, .. }) => {
                Self { id, law: Some(law), severity, summary, doc }
            }
            Declaration::Scan(&ScanRule { id, severity, summary, doc, .. }) => {
                Self { id, law: None, severity, summary, doc }
            }
        }
    }
}

/// Declares rules: `comparison` and `scan` make the data, `ids` makes the identities of all of them.
macro_rules! rules {
    (comparison: $(
        $name:ident = $id:ident $law:ident $severity:ident
            $([$subject:literal $(, $principal:literal, $gained:literal)?])?
            $summary:literal
            $doc:literal;
    )*) => {
        $(
            #[doc = $summary]
            pub(crate) static $name: $crate::rule::Rule = $crate::rule::Rule {
                id: $crate::rule::RuleId::$id,
                law: $crate::rule::Law::$law,
                severity: $crate::rule::Severity::$severity,
                columns: $crate::rule::rules!(columns: $($subject $($principal $gained)?)?),
                summary: $summary,
                doc: $doc,
            };
        )*
    };
    (columns:) => { $crate::rule::rules!(columns: "what") };
    (columns: $subject:literal) => { $crate::rule::rules!(columns: $subject "who" "now") };
    (columns: $subject:literal $principal:literal $gained:literal) => {
        $crate::rule::Columns { subject: $subject, principal: $principal, gained: $gained }
    };
    (scan: $(
        $name:ident = $id:ident $severity:ident $summary:literal
            $doc:literal
            advice $advice:literal;
    )*) => {
        $(
            #[doc = $summary]
            pub static $name: $crate::rule::ScanRule = $crate::rule::ScanRule {
                id: $crate::rule::RuleId::$id,
                severity: $crate::rule::Severity::$severity,
                summary: $summary,
                doc: $doc,
                advice: $advice,
            };
        )*
        /// Every rule of the scan; where several fire on one text, the first is reported.
        pub static ALL: &[&$crate::rule::ScanRule] = &[$(&$name),*];
    };
    (ids: $($id:ident = $text:literal in $($path:ident)::+;)*) => {
        /// Identity of a rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RuleId {
            $(
                #[doc = concat!("`", $text, "`")]
                $id,
            )*
        }

        impl RuleId {
            /// Every rule, in the order in which they are listed.
            pub const ALL: &'static [Self] = &[$(Self::$id),*];

            /// The name in reports, in the configuration and on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$id => $text,)*
                }
            }

            /// The rule.
            #[must_use]
            pub fn declaration(self) -> Declaration {
                match self {
                    $(Self::$id => Declaration::from(&crate::$($path)::+),)*
                }
            }
        }

        // Each identity leads to the data that was declared with it.
        $(const _: () = assert!(crate::$($path)::+.id as usize == RuleId::$id as usize);)*
    };
}
pub(crate) use rules;

rules! {
    ids:
    ServiceUnmapped = "service-unmapped" in aspects::meta::UNMAPPED;
    AttributeUnmodelled = "attribute-unmodelled" in aspects::meta::UNMODELLED;
    DaemonSetMismatch = "daemon-set-mismatch" in aspects::meta::DAEMONS;
    ShapeUnexpected = "shape-unexpected" in aspects::meta::SHAPE;
    RenderNondeterministic = "render-nondeterministic" in aspects::meta::NONDETERMINISTIC;
    MergeConflict = "merge-conflict" in merging::CONFLICT;
    PlanDisregarded = "plan-disregarded" in witness::DISREGARDED;
    EnvUnresolved = "env-unresolved" in aspects::meta::UNRESOLVED;
    MountDropped = "mount-dropped" in aspects::mounts::DROPPED;
    MountTargetCollision = "mount-target-collision" in aspects::mounts::COLLISION;
    MountSourceChanged = "mount-source-changed" in aspects::mounts::SOURCE;
    MountRoToRw = "mount-ro-to-rw" in aspects::mounts::RO_TO_RW;
    MountRwToRo = "mount-rw-to-ro" in aspects::mounts::RW_TO_RO;
    MountShadowed = "mount-shadowed" in aspects::mounts::SHADOWED;
    MountOptionsChanged = "mount-options-changed" in aspects::mounts::OPTIONS;
    MountCoverageChanged = "mount-coverage-changed" in aspects::mounts::COVERAGE;
    MountUnexpected = "mount-unexpected" in aspects::mounts::UNEXPECTED;
    MountSecretShared = "mount-secret-shared" in aspects::mounts::SHARED;
    VolumeUndeclared = "volume-undeclared" in aspects::mounts::UNDECLARED;
    TmpfsLost = "tmpfs-lost" in aspects::mounts::TMPFS;
    PortDropped = "port-dropped" in aspects::ports::DROPPED;
    PortAdded = "port-added" in aspects::ports::ADDED;
    PortHostIpWidened = "port-host-ip-widened" in aspects::ports::WIDENED;
    PortProtocolChanged = "port-protocol-changed" in aspects::ports::PROTOCOL;
    PortListenCollision = "port-listen-collision" in aspects::ports::COLLISION;
    PortNewlyEffective = "port-newly-effective" in aspects::ports::NEWLY;
    PortIneffective = "port-ineffective" in aspects::ports::INEFFECTIVE;
    EnvDropped = "env-dropped" in aspects::environment::DROPPED;
    EnvChanged = "env-changed" in aspects::environment::CHANGED;
    EnvConflict = "env-conflict" in aspects::environment::CONFLICT;
    EnvStaleHost = "env-stale-host" in aspects::environment::STALE;
    EnvScopeWidened = "env-scope-widened" in aspects::environment::SCOPE;
    EnvNullVsEmpty = "env-null-vs-empty" in aspects::environment::NULL;
    ArgvChanged = "argv-changed" in aspects::process::ARGV;
    UserChanged = "user-changed" in aspects::process::USER;
    HookChanged = "hook-changed" in aspects::process::HOOK;
    HomeChanged = "home-changed" in aspects::process::HOME;
    WorkdirChanged = "workdir-changed" in aspects::process::WORKDIR;
    ListenAddressChanged = "listen-address-changed" in aspects::process::LISTEN;
    SignalPathLost = "signal-path-lost" in aspects::process::SIGNAL;
    RestartScopeWidened = "restart-scope-widened" in aspects::process::RESTART;
    ReachGained = "reach-gained" in aspects::network::REACH_GAINED;
    ReachLost = "reach-lost" in aspects::network::REACH_LOST;
    InternetGained = "internet-gained" in aspects::network::INTERNET;
    AgentNetworkAdded = "agent-network-added" in aspects::network::AGENT_NETWORK;
    NetworkInternalLost = "network-internal-lost" in aspects::network::INTERNAL;
    AliasLost = "alias-lost" in aspects::network::ALIAS_LOST;
    AliasAdded = "alias-added" in aspects::network::ALIAS_ADDED;
    HostsLost = "hosts-lost" in aspects::network::HOSTS_LOST;
    HostsScopeWidened = "hosts-scope-widened" in aspects::network::HOSTS_WIDENED;
    HostsAdded = "hosts-added" in aspects::network::HOSTS_ADDED;
    NetworkChanged = "network-changed" in aspects::network::CHANGED;
    NameChanged = "name-changed" in aspects::network::NAME;
    DnsChanged = "dns-changed" in aspects::network::DNS;
    NetworkModeShared = "network-mode-shared" in aspects::network::MODE;
    AddressUnreachable = "address-unreachable" in aspects::network::UNREACHABLE;
    CapGained = "cap-gained" in aspects::privilege::CAP_GAINED;
    CapLost = "cap-lost" in aspects::privilege::CAP_LOST;
    RestrictionAdded = "restriction-added" in aspects::privilege::RESTRICTED;
    CapDropLost = "cap-drop-lost" in aspects::privilege::CAP_DROP;
    PrivilegedGained = "privileged-gained" in aspects::privilege::PRIVILEGED;
    RootfsWritable = "rootfs-writable" in aspects::privilege::ROOTFS;
    SecurityOptLost = "security-opt-lost" in aspects::privilege::SECURITY;
    DeviceGained = "device-gained" in aspects::privilege::DEVICE;
    RuntimeChanged = "runtime-changed" in aspects::privilege::RUNTIME;
    SysctlConflict = "sysctl-conflict" in aspects::privilege::SYSCTL;
    LimitCollapsed = "limit-collapsed" in aspects::privilege::LIMIT;
    IsolationWeakened = "isolation-weakened" in aspects::privilege::ISOLATION;
    DependsLost = "depends-lost" in aspects::lifecycle::DEPENDS;
    DependsAdded = "depends-added" in aspects::lifecycle::DEPENDS_ADDED;
    StartOrderLost = "start-order-lost" in aspects::lifecycle::ORDER;
    HealthMissing = "health-missing" in aspects::lifecycle::MISSING;
    HealthWeakened = "health-weakened" in aspects::lifecycle::WEAKENED;
    HealthChanged = "health-changed" in aspects::lifecycle::HEALTH;
    GraceTooShort = "grace-too-short" in aspects::lifecycle::GRACE;
    GraceChanged = "grace-changed" in aspects::lifecycle::GRACE_CHANGED;
    StopSignalChanged = "stop-signal-changed" in aspects::lifecycle::SIGNAL;
    RestartPolicyChanged = "restart-policy-changed" in aspects::lifecycle::POLICY;
    LabelLost = "label-lost" in aspects::lifecycle::LABEL_LOST;
    LabelAdded = "label-added" in aspects::lifecycle::LABEL_ADDED;
    LogMerged = "log-merged" in aspects::lifecycle::LOG;
    ImagePinChanged = "image-pin-changed" in aspects::image::PIN;
    ImageUnpinned = "image-unpinned" in aspects::image::UNPINNED;
    ImagePathLost = "image-path-lost" in aspects::contents::PATH_LOST;
    ImagePathChanged = "image-path-changed" in aspects::contents::PATH_CHANGED;
    ImagePathGained = "image-path-gained" in aspects::contents::PATH_GAINED;
    ImagePackageLost = "image-package-lost" in aspects::contents::PACKAGE_LOST;
    ImagePackageGained = "image-package-gained" in aspects::contents::PACKAGE_GAINED;
    ImageUserLost = "image-user-lost" in aspects::contents::USER_LOST;
    ImageEnvLost = "image-env-lost" in aspects::contents::ENV_LOST;
    ImageEnvGained = "image-env-gained" in aspects::contents::ENV_GAINED;
    ImageExposeLost = "image-expose-lost" in aspects::contents::EXPOSE_LOST;
    ImageExposeGained = "image-expose-gained" in aspects::contents::EXPOSE_GAINED;
    ImageHealthLost = "image-health-lost" in aspects::contents::HEALTH_LOST;
    ImageEntrypointChanged = "image-entrypoint-changed" in aspects::contents::ENTRYPOINT;
    ImageConfigChanged = "image-config-changed" in aspects::contents::CONFIG;
    ImageImportMissing = "image-import-missing" in aspects::contents::IMPORT;
    ImageCommandMissing = "image-command-missing" in aspects::contents::COMMAND;
    ImageBaseChanged = "image-base-changed" in aspects::contents::BASE;
    ImageBaseUnknown = "image-base-unknown" in aspects::contents::BASE_UNKNOWN;
    ImageNotUnderstood = "image-not-understood" in aspects::contents::NOT_UNDERSTOOD;
    NameHelper = "name-helper" in scan::rules::NAME_HELPER;
    UrlHelper = "url-helper" in scan::rules::URL_HELPER;
    DockerCli = "docker-cli" in scan::rules::DOCKER_CLI;
    ServiceLabel = "service-label" in scan::rules::SERVICE_LABEL;
    ComposeCli = "compose-cli" in scan::rules::COMPOSE_CLI;
    ImageConstant = "image-constant" in scan::rules::IMAGE_CONSTANT;
    Dockerfile = "dockerfile" in scan::rules::DOCKERFILE;
    ContainerName = "container-name" in scan::rules::CONTAINER_NAME;
    UrlHost = "url-host" in scan::rules::URL_HOST;
    ServiceSubscript = "service-subscript" in scan::rules::SERVICE_SUBSCRIPT;
    ServiceCount = "service-count" in scan::rules::SERVICE_COUNT;
    ComposeService = "compose-service" in scan::rules::COMPOSE_SERVICE;
    DocShape = "doc-shape" in scan::rules::DOC_SHAPE;
    DocDeleted = "doc-deleted" in scan::rules::DOC_DELETED;
    FlagReference = "flag-reference" in scan::rules::FLAG_REFERENCE;
    KeepUnreasoned = "keep-unreasoned" in scan::rules::KEEP_UNREASONED;
    KeepUnused = "keep-unused" in scan::rules::KEEP_UNUSED;
    WaiverExpired = "waiver-expired" in waiver::EXPIRED;
    WaiverUnused = "waiver-unused" in waiver::UNUSED;
}

impl RuleId {
    /// What the rule is about.
    #[must_use]
    pub fn description(self) -> Description {
        self.declaration().into()
    }

    /// The rules of comparisons, in the order in which they are listed.
    pub fn comparisons() -> impl Iterator<Item = Description> {
        Self::ALL.iter().map(|id| id.description()).filter(|rule| rule.law.is_some())
    }

    /// Whether the rule is one of the scan.
    #[must_use]
    pub fn is_of_scan(self) -> bool {
        self.description().law.is_none()
    }

    /// The rule with the given name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|id| id.as_str() == name)
    }
}

/// By name, so that the order of findings does not depend on where a rule is declared.
impl Ord for RuleId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for RuleId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for RuleId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
