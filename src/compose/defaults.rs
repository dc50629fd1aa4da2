//! Settings that say what an engine does without them.

use bottle_model::compose::{Compose, Setting};

/// Defaults of the engine for networks and volumes.
const NETWORK: [(&str, &str); 3] =
    [("driver", "bridge"), ("enable_ipv4", "true"), ("ipam.driver", "default")];
const VOLUME: [(&str, &str); 1] = [("driver", "local")];
/// Defaults of the engine for the options of a mount.
const MOUNT: [(&str, &str); 1] = [("bind.propagation", "rprivate")];

/// Removes settings that say what the engine or Compose does without them.
pub(crate) fn remove(compose: &mut Compose) {
    for (resources, defaults) in [(&mut compose.networks, &NETWORK[..]), (&mut compose.volumes, &VOLUME)] {
        for resource in resources.values_mut() {
            resource.settings.retain(|name, value| !defaults.contains(&(name.as_str(), value.as_str())));
        }
    }
    for service in compose.services.values_mut() {
        for mount in &mut service.mounts {
            mount.options.retain(|name, value| !MOUNT.contains(&(name.as_str(), value.as_str())));
        }
        let missing = Setting::Text("missing".to_owned());
        // What is built is not pulled unless it says so.
        if !service.settings.contains_key("build") && service.settings.get("pull_policy") == Some(&missing) {
            service.settings.remove("pull_policy");
        }
    }
}
