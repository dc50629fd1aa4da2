//! The rules of the scan, in the order of precedence: a line is reported as the first that applies.

use bottle_model::daemon::Daemon;

use crate::rule::{RuleId, ScanRule, rules};

rules! {
    scan:
    NAME_HELPER = NameHelper Error "a helper that names one sidecar's container"
        "A helper such as `pipelock_container_name(slug)` names a container that the bundle does not have. Definitions, \
         imports (also under another name, also passed on by another module), calls, mocks by dotted path and \
         re-exports are all reported, because all of them go with the helper.\n\nExample: `from .docker import \
         egress_container_name as name_of` and `name_of(slug)` further down.\n\nWhat to do: name the bundle with \
         `sidecar_bundle_container_name(slug)`. `--fix` does so where the helper is called with one argument and the \
         call around it keeps its meaning."
        advice "`sidecar_bundle_container_name(slug)`";
    URL_HELPER = UrlHelper Error "a helper that builds a sidecar's URL or host name"
        "A helper such as `supervise_url(slug)` or `git_gate_host` builds an address from the name of a legacy service. \
         In the bundle all agent-facing ports are on the host `sidecars`.\n\nExample: \
         `mock.patch(\"bot_bottle.supervise.supervise_url\")`.\n\nWhat to do: let it return the address on `sidecars`, \
         or use one helper for the bundle."
        advice "an address on the host `sidecars`, port {port}";
    DOCKER_CLI = DockerCli Error "a docker command aimed at one sidecar's container"
        "`docker exec`, `cp`, `kill`, `restart`, `logs`, `inspect` or `rm` of a sidecar fails once that container is \
         gone. Its name may still resolve in DNS, where it is an alias, which hides the mistake from every test that \
         only connects. What is right instead depends on the verb: a signal or a restart of the whole bundle would \
         reach all four daemons.\n\nExample: `docker kill --signal HUP bot-bottle-egress-demo` used to reload routes; \
         to the bundle it is a signal for PID 1.\n\nWhat to do: `docker exec bot-bottle-sidecars-<slug> sidecar-init \
         signal egress HUP`, `… sidecar-init restart egress`; `exec`, `cp` and `inspect` of the bundle's container."
        advice "the bundle's container; for one daemon `… sidecar-init signal|restart {daemon}`";
    SERVICE_LABEL = ServiceLabel Error "a look-up of a sidecar by compose label or name filter"
        "Compose labels every container with its service. The four services do not exist in the bundle, so that a \
         look-up by `com.docker.compose.service=egress`, or by a name filter that includes the service, finds \
         nothing and says so to nobody.\n\nExample: `docker ps --filter label=com.docker.compose.service=egress`.\n\n\
         What to do: look for the service `sidecars`, and ask `sidecar-init status` about one daemon."
        advice "the service `sidecars`, and `sidecar-init status` in it for {daemon}";
    COMPOSE_CLI = ComposeCli Error "a compose command for one sidecar's service"
        "`docker compose logs egress` and its like name a service that the bundle's file does not have; compose ends \
         with `no such service`.\n\nExample: `docker compose restart pipelock`.\n\nWhat to do: name `sidecars`; for \
         one daemon `docker compose exec sidecars sidecar-init restart pipelock`, and its lines of the log begin \
         with `[pipelock]`."
        advice "the service `sidecars`; for one daemon `exec sidecars sidecar-init … {daemon}`";
    IMAGE_CONSTANT = ImageConstant Error "an image, or its build, that the bundle replaces"
        "The images of egress, git-gate and supervise are one image in the bundle. Constants (`EGRESS_IMAGE`, \
         `GIT_GATE_DOCKERFILE`), builders (`build_supervise_image`) and the images' own names go. The image of \
         pipelock stays: the bundle copies from it.\n\nExample: `docker build -t bot-bottle-egress:latest .`\n\nWhat to \
         do: `bot-bottle-sidecars:latest`, overridden by `BOT_BOTTLE_SIDECAR_IMAGE`."
        advice "the bundle's image, `bot-bottle-sidecars:latest`";
    DOCKERFILE = Dockerfile Error "a Dockerfile that the migration deletes"
        "`flip-default` deletes `Dockerfile.egress`, `Dockerfile.git-gate` and `Dockerfile.supervise`. A build, a \
         workflow or a document that still names one of them breaks, or misleads, from then on.\n\nExample: `docker \
         build -f Dockerfile.egress .` in a workflow.\n\nWhat to do: build `Dockerfile.sidecars`, or drop the line."
        advice "`Dockerfile.sidecars`";
    CONTAINER_NAME = ContainerName Error "the name, or a pattern for the name, of a sidecar's container"
        "`bot-bottle-egress-<slug>` and its like are containers of the legacy shape, whether written out, formatted or \
         put together. A network may have the very same name, and stays; where a name is used as a network's it is \
         not reported. A container of the agent may look the same if its slug begins with a service's name: then \
         the finding is unsure.\n\nExample: `f\"bot-bottle-pipelock-{slug}\"`.\n\nWhat to do: \
         `bot-bottle-sidecars-<slug>`."
        advice "`bot-bottle-sidecars-<slug>`";
    URL_HOST = UrlHost Error "a URL or an address on the host name of a sidecar"
        "The agent reaches everything at `sidecars`. The old names stay as network aliases through the migration \
         window, except for the hop behind the first proxy; afterwards they are gone.\n\nExample: \
         `http://supervise:9100/`.\n\nWhat to do: `http://sidecars:9100/`. `--fix` does so."
        advice "the host `sidecars`, with the same port";
    SERVICE_SUBSCRIPT = ServiceSubscript Error "an entry of one sidecar in a compose document"
        "Code or a test takes the service `pipelock`, `egress`, `git-gate` or `supervise` from a rendered compose \
         document. The bundle has `agent` and `sidecars`.\n\nExample: `services[\"pipelock\"][\"volumes\"]`.\n\nWhat to \
         do: `services[\"sidecars\"]`, and say there which daemon the entry is for."
        advice "`services[\"sidecars\"]`";
    SERVICE_COUNT = ServiceCount Error "an assertion on the number or the set of services"
        "The legacy shape has two to five services, the bundle two. An assertion that counts services, or compares \
         their names, holds in one of the shapes only.\n\nExample: `assert len(services) == 5`.\n\nWhat to do: compare \
         with `{\"agent\", \"sidecars\"}`."
        advice "two services, `agent` and `sidecars`";
    COMPOSE_SERVICE = ComposeService Error "a sidecar's service in a compose document"
        "A compose document, a file or one written inside a test, declares a legacy service or depends on one.\n\n\
         Example: `depends_on: [pipelock, egress]`.\n\nWhat to do: render the document from the plan, or write the \
         service `sidecars`."
        advice "the service `sidecars`";
    DOC_SHAPE = DocShape Warning "a text that describes one container per sidecar"
        "A document or a docstring describes the shape that goes: five services, four sidecar containers, the egress \
         container. Such texts outlive the code by weeks.\n\nExample: \"each bottle starts five services\".\n\nWhat to \
         do: describe the bundle: two services, four daemons in one container."
        advice "two services, `agent` and `sidecars`; the daemons share one container";
    DOC_DELETED = DocDeleted Warning "a document names a test that does not exist"
        "Tests that only exercised a sidecar's own container are deleted in the migration. A document that still names \
         one sends its reader to nothing.\n\nExample: `tests/test_pipelock_sidecar_smoke.py` in tests/README.md.\n\n\
         What to do: name the test that took its place, or drop the line."
        advice "a test that exists, or nothing";
    FLAG_REFERENCE = FlagReference Note "the flag of the migration window"
        "The flag that chooses the shape goes when the window closes. References to it are listed for that clean-up; \
         they do not keep the default from being flipped.\n\nExample: \
         `os.environ.get(\"BOT_BOTTLE_SIDECAR_BUNDLE\")`.\n\nWhat to do: nothing yet; remove it with the flag."
        advice "nothing yet; it goes with the flag";
    KEEP_UNREASONED = KeepUnreasoned Error "an opt-out comment without a reason"
        "`bottle-migrate: keep` accepts the references of its line, or of the line below where it stands alone. It has \
         to say why, so that the next reader knows whether it still holds.\n\nExample: `# bottle-migrate: keep`.\n\nWhat \
         to do: `# bottle-migrate: keep — reads old logs`."
        advice "`bottle-migrate: keep — reason`";
    KEEP_UNUSED = KeepUnused Error "an opt-out comment that accepts nothing"
        "An opt-out that no reference needs would silently accept the next one.\n\nExample: the comment on a line whose \
         reference was rewritten.\n\nWhat to do: remove the comment."
        advice "nothing";
}

/// The prefix that advice is written with.
pub(in crate::scan) const PREFIX: &str = "bot-bottle";

/// Advice for a tree whose containers have another prefix.
pub(in crate::scan) fn advice_for(advice: &str, prefix: &str) -> String {
    advice.replace(&format!("{PREFIX}-sidecars"), &format!("{prefix}-sidecars"))
}

/// What to write instead of a rule, where nothing more is known than the daemon.
pub(in crate::scan) fn advice(rule: &'static ScanRule, service: Option<Daemon>) -> String {
    let port = service.map_or_else(|| "PORT".to_owned(), |service| service.port().to_string());
    rule.advice.replace("{daemon}", service.map_or("DAEMON", Daemon::name)).replace("{port}", &port)
}

/// Whether a rule is one of references that name a daemon, or have a variable in its place.
pub(in crate::scan) fn is_named(rule: &'static ScanRule) -> bool {
    use RuleId::{DocDeleted, DocShape, FlagReference, ServiceCount};
    !matches!(rule.id, DocShape | DocDeleted | FlagReference | ServiceCount)
}

/// Whether the bundle keeps what a rule would have go of a daemon: pipelock's image is what it copies from.
pub(in crate::scan) fn keeps(rule: &'static ScanRule, service: Daemon) -> bool {
    service == Daemon::Pipelock && matches!(rule.id, RuleId::ImageConstant | RuleId::Dockerfile)
}

/// Where a rule stands in the order of precedence.
pub(in crate::scan) fn rank(rule: &'static ScanRule) -> usize {
    ALL.iter().position(|other| other.id == rule.id).unwrap_or(ALL.len())
}
