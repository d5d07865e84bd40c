//! Many logs of one agent: a list holds a bounded number of them.

use x0x_tracker::tasklist::LOGS_PER_AGENT_MAX;

use crate::commits::publish;
use crate::{LEVEL_MAX, Scene, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_logs_as_an_agent_may_have_part_nobody() {
    other_logs_on_either_side(LOGS_PER_AGENT_MAX / 2).await;
}

/// Sees the honest nodes go on when each has so many logs of the liar that the other has not.
async fn other_logs_on_either_side(count: usize) {
    let mut scene = Scene::new().await;
    // Each of the two hears some while the other one is away.
    let names = ["for-a", "for-b"];
    for (round, name) in names.iter().enumerate() {
        let away = if round == 0 { &mut scene.b } else { &mut scene.a };
        away.node.stop().await;
        let here = if round == 0 { &scene.a } else { &scene.b };
        let mut wire = scene.liar.link(here).await;
        for n in 0..count {
            let log = scene.liar.new_log();
            publish(&mut wire, &scene.liar.good(log, &format!("{name}-{n}"))).await;
        }
        let (agent, list) = (scene.liar.agent, scene.list);
        let has = || async {
            let frontier = here.with(list, |tracker| tracker.frontier().unwrap()).await;
            frontier.0.keys().filter(|log| log.agent == agent).count() >= count
        };
        eventually("all logs are taken", LEVEL_MAX, has).await;
        wire.hang_up();
        let away = if round == 0 { &mut scene.b } else { &mut scene.a };
        away.restart().await;
    }
    scene.is_sound("with other logs on either side").await;
}

/// Each takes from the other what that one took of the liar.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_logs_than_an_agent_may_have_part_nobody() {
    other_logs_on_either_side(LOGS_PER_AGENT_MAX).await;
}
