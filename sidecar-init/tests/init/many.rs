//! Many daemons in one container.

use std::time::{Duration, Instant};

use crate::init::{Place, Setup, script};

const MANY: usize = 64;

pub(super) fn sixty_four_daemons_start_answer_and_stop(place: Place) {
    let text = "trap 'exit 0' TERM; echo ready; while :; do sleep 1000 & wait $!; done";
    let rows: Vec<String> = (0..MANY).map(|number| script(&format!("d{number}"), text, "")).collect();
    for isolation in ["off", "require"] {
        let mut init = Setup::new(place, &rows).with("BOT_BOTTLE_SIDECAR_ISOLATION", isolation).start();
        for number in 0..MANY {
            init.line(&format!("[d{number}] ready"));
        }
        // The answer is larger than what is usually read of a socket at once.
        let status = init.status();
        let daemons = status["daemons"].as_array().expect("a list");
        assert_eq!(daemons.len(), MANY);
        assert!(daemons.iter().all(|daemon| daemon["state"] == "running"), "{status}");
        init.until(&["check"], 0);
        let start = Instant::now();
        assert_eq!(init.stop(), 0, "{isolation}");
        assert!(start.elapsed() < Duration::from_secs(6), "{isolation}: {:?}", start.elapsed());
    }
}

pub(super) fn one_restart_among_many_leaves_the_others_alone(place: Place) {
    let rows: Vec<String> =
        (0..MANY).map(|number| script(&format!("d{number}"), "echo ready; exec sleep 1000", "")).collect();
    let mut init = Setup::new(place, &rows).start();
    for number in 0..MANY {
        init.line(&format!("[d{number}] ready"));
    }
    init.until(&["restart", "d40"], 0);
    init.line("[d40] ready");
    let status = init.status();
    let restarted: Vec<usize> =
        (0..MANY).filter(|number| status["daemons"][*number]["restarts"] != 0).collect();
    assert_eq!(restarted, [40]);
    assert_eq!(init.stop(), 0);
}

crate::cases! {
    sixty_four_daemons_start_answer_and_stop
    one_restart_among_many_leaves_the_others_alone
}
