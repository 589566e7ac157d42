//! Bounds of what one side asks of the other, of what it answers, of types and of times.

use super::*;

#[test]
fn bounds_hold_exactly() {
    let config = NodeConfig { message_bytes_max: 100, monitors_max: 2, asks_max: 1, ..NodeConfig::default() };
    let (mut a, _) = joined(&config);
    assert!(!a.has_pending_requests());
    assert_eq!(a.tell(KEY, ADD, &[0; 100]), Ok(()));
    assert_eq!(a.tell(KEY, ADD, &[0; 101]), Err(SendError::TooLarge));
    let asked = CorrelationId { slot: 0, generation: 1 };
    assert_eq!(a.reply(asked, &[0; 100], None), Ok(()));
    assert_eq!(a.reply(asked, &[0; 101], None), Err(SendError::TooLarge));
    a.ask(KEY, ADD, b"", Duration::MAX, 9).unwrap();
    let watches = [0, 1].map(|token| a.watch(KEY, token).unwrap());
    assert!(a.has_pending_requests());
    assert_eq!(a.watch(KEY, 3), Err((SendError::Full, 3)));
    a.cancel(watches[0]);
    assert!(a.watch(KEY, 3).is_ok());
    assert_eq!(a.resolve(1, &"x".repeat(255), 4).map(|_| ()), Ok(()));
    assert_eq!(a.resolve(1, &"x".repeat(256), 5), Err((SendError::TooLarge, 5)));
    let mut pair = joined(&NodeConfig { asks_max: 2, ..NodeConfig::default() });
    let first = pair.0.ask(KEY, ADD, b"", Duration::MAX, 1).unwrap();
    pair.0.ask(KEY, ADD, b"", Duration::MAX, 2).unwrap();
    assert_eq!(pair.0.ask(KEY, ADD, b"", Duration::MAX, 3), Err((SendError::Full, 3)));
    pair.0.cancel(first);
    assert!(pair.0.ask(KEY, ADD, b"", Duration::MAX, 4).is_ok());
}

/// Each kind of request has a bound of its own, and takes no room from the others.
#[test]
fn monitors_and_requests_for_names_take_no_room_from_asks() {
    let config = NodeConfig { monitors_max: 4, asks_max: 1, ..NodeConfig::default() };
    let (mut a, mut b) = joined(&config);
    for token in 0..4 {
        a.watch(KEY, token).unwrap();
        a.resolve(1, "name", token).unwrap();
    }
    assert!(a.has_room(KEY));
    let ask = a.ask(KEY, ADD, b"", Duration::MAX, 9).unwrap();
    assert!(!a.has_room(KEY));
    // Any end of a request frees its place.
    carry(&mut a, &mut b, T0);
    b.reply_err(ask, ReplyCode::Stopped, "");
    carry(&mut b, &mut a, T0);
    assert!(a.has_room(KEY));
    let full = |session: &mut Session<u32>| session.watch(KEY, 7).is_err();
    assert!(full(&mut a));
    b.down(CorrelationId { slot: 0, generation: 1 }, DownCode::Normal, "");
    assert_eq!(carry(&mut b, &mut a, T0).len(), 1);
    assert!(!full(&mut a) && full(&mut a));
}

#[test]
fn monitor_that_the_other_side_has_no_room_for_is_refused_with_bytes_of_its_own() {
    let (mut a, mut b) = joined(&NodeConfig::default());
    let id = a.watch(KEY, 1).unwrap();
    carry(&mut a, &mut b, T0);
    b.down(id, DownCode::TooManyMonitors, "");
    let mut wire = b.poll_transmit(T0).unwrap();
    let golden = [
        &[26, 0, 0, 0, 0x32, 2, 0xff, 0xff][..],
        &[0; 8],
        &id.slot.to_le_bytes(),
        &id.generation.to_le_bytes(),
        &[7, 0],
    ];
    assert_eq!(wire[..], golden.concat()[..]);
    let down = DownBody { code: DownCode::TooManyMonitors, text: String::new() };
    assert_eq!(a.read_event(&mut wire, T0), Ok(Some(Event::Down(1, down))));
    // It is not asked again.
    assert!(!a.has_pending_requests());
    let mut pair = (a, b);
    connect(&mut pair, T0);
    assert_eq!(written(&mut pair.0, T0), []);
}

/// What this side asks for, and could do without, costs it no connection, whatever the other side takes.
#[test]
fn requests_and_cancels_without_room_are_refused_and_end_nothing() {
    let config = NodeConfig { control_bytes_max: 65_536, message_bytes_max: 1024, ..NodeConfig::default() };
    let (mut a, _) = joined(&config);
    assert_eq!((0..).take_while(|&token| a.watch(KEY, token).is_ok()).count(), config.monitors_bound());
    let asks: Vec<_> = (0..1000).map(|token| a.ask(KEY, ADD, b"", Duration::MAX, token).unwrap()).collect();
    assert!(asks.into_iter().all(|id| a.cancel(id).is_some()));
    assert_eq!(a.watch(KEY, 7), Err((SendError::Full, 7)));
    // A lookup waits.
    assert!(a.resolve(1, &"x".repeat(255), 8).is_ok());
    assert_eq!(a.handle_timeout(T0), Ok(()));
    assert!(a.is_crowded());
    let kinds = written(&mut a, T0);
    assert_eq!((kinds.last(), a.is_crowded()), (Some(&FrameKind::Resolve), false));
}

/// All monitors fire at once, and nothing of it is written meanwhile.
#[test]
fn all_monitors_that_may_be_can_fire_at_once() {
    for control_bytes_max in [65_536, 1 << 20, NodeConfig::default().control_bytes_max] {
        let config = NodeConfig { control_bytes_max, message_bytes_max: 1024, ..NodeConfig::default() };
        let (_, mut b) = joined(&config);
        for slot in 0..config.monitors_bound() as u32 {
            b.down(CorrelationId { slot, generation: 1 }, DownCode::Failed, "");
        }
        assert_eq!(b.handle_timeout(T0), Ok(()), "{control_bytes_max}");
    }
}

/// A table of types has an end; types beyond it are sent in full.
#[test]
fn types_beyond_the_table_are_sent_in_full() {
    let types: Vec<_> = (0..TYPES_MAX as u64 + 2).map(|id| TypeInfo { id, schema: id }).collect();
    let mut pair = (Session::new(NodeConfig::default(), &[]), Session::new(NodeConfig::default(), &types));
    connect(&mut pair, T0);
    pair.1.add_types(&types[..2]);
    assert!(!pair.1.has_output());
    let mut sent = |ty: TypeInfo| {
        pair.0.tell(KEY, ty, b"").unwrap();
        match carry(&mut pair.0, &mut pair.1, T0).pop() {
            Some(Event::Tell(message)) => message.type_key,
            other => panic!("{other:?}"),
        }
    };
    let (last, beyond) = (types[TYPES_MAX - 1], types[TYPES_MAX + 1]);
    assert_eq!(sent(last), TypeKey { id: last.id, schema: None });
    assert_eq!(sent(beyond), TypeKey { id: beyond.id, schema: Some(beyond.schema) });
}

#[test]
fn no_time_is_too_long() {
    let (most, late) = (Duration::MAX, Duration::from_secs(u64::MAX / 2));
    let almost = most - Duration::from_nanos(1);
    let configs = [
        NodeConfig { ack_delay: most, ..NodeConfig::default() },
        NodeConfig { max_idle_timeout: most, ..NodeConfig::default() },
        NodeConfig { keep_alive_interval: almost, max_idle_timeout: most, ..NodeConfig::default() },
    ];
    for config in configs {
        assert_eq!(config.check(), Ok(()));
        let mut pair = joined(&config);
        connect(&mut pair, late);
        let (mut a, mut b) = pair;
        a.tell(KEY, ADD, b"x").unwrap();
        a.send_node_info(&NodeInfo { node: NodeId::new("c", 1), name: "c".into(), address: String::new() }, almost);
        a.send_node_info(&NodeInfo { node: NodeId::new("c", 1), name: "c".into(), address: String::new() }, most);
        for event in carry(&mut a, &mut b, late) {
            if let Event::Tell(message) = event {
                b.settle(2, message.frame_bytes, None, late);
            }
        }
        assert!(b.poll_timeout().is_some_and(|at| at > late));
        assert_eq!((b.ack_is_due(late), b.handle_timeout(late)), (false, Ok(())));
    }
}
