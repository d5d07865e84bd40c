use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn agent(number: u8) -> AgentId {
    AgentId([number; 32])
}

fn replica() -> Replica {
    let (list, charter) = (ListId([7; 32]), Charter::default());
    Replica::new(list, agent(0), Frontier::default(), charter, Duration::ZERO, [1; 32])
}

fn tell(replica: &mut Replica, now: Duration, input: Input) -> Vec<Effect> {
    let mut effects = Vec::new();
    replica.handle(now, input, &mut effects);
    effects
}

fn pulls(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Pull { .. })).count()
}

#[test]
fn as_many_pulls_as_may_go_on_are_waited_for_and_not_for_the_clock() {
    let mut replica = replica();
    let mut now = SECOND;
    for peer in 1..=4 {
        tell(&mut replica, now, Input::PeerUp(agent(peer)));
        let hash = [9; 32];
        tell(&mut replica, now, Input::Digest { from: agent(peer), hash, wants_answer: false });
    }
    for _ in 0..2 {
        now += PULL_STALL_MAX;
        assert_eq!(pulls(&tell(&mut replica, now, Input::Tick)), 1);
    }
    assert_eq!(replica.held().pulls, PULLS_MAX);
    now += PULL_STALL_MAX;
    tell(&mut replica, now, Input::Tick);
    assert!(replica.deadline() > Some(now), "it would be told at once again, and do nothing");
    now += SECOND;
    let effects = tell(&mut replica, now, Input::Pulled { from: agent(1), is_whole: true });
    // The other two had their time: a third may begin.
    assert_eq!(pulls(&effects), 1, "{effects:?}");
}
