//! What was seen of TLS: added up, shared, and bounded however much of it comes.

use ca::observed::{
    CLIENT, GATEWAY, HANDSHAKES, MOST_RECORDED, MOST_REFUSALS, MOST_SAID, MOST_TALLIES, Observed, REFUSALS,
    RefusedHandshake, Said, Span, Tally,
};
use jiff::{SignedDuration, Timestamp};

use crate::worlds::{Memory, every_memory};

fn tally(name: &str, at: Timestamp, count: u64) -> Tally {
    Tally {
        kind: HANDSHAKES.to_owned(),
        span: Span::Hour,
        start: Span::Hour.start(at),
        name: name.to_owned(),
        key: "P-256".to_owned(),
        tls_version: "TLSv1.3".to_owned(),
        count,
    }
}

fn refused(body: &str, octets: usize) -> RefusedHandshake {
    RefusedHandshake {
        number: 0,
        at: testkit::now(),
        body: body.to_owned(),
        recording: (octets > 0).then(|| vec![7; octets]),
    }
}

fn said(kind: &str, id: &str, at: Timestamp, body: &str) -> Said {
    Said { kind: kind.to_owned(), id: id.to_owned(), change: 0, at, body: body.to_owned() }
}

/// One of each.
pub(crate) fn seen(name: &str, at: Timestamp) -> Observed {
    Observed {
        tallies: vec![tally(name, at, 3), Tally { kind: REFUSALS.to_owned(), ..tally("expired", at, 1) }],
        refusals: vec![refused("{\"ü\":1}", 5)],
        said: vec![said(CLIENT, name, at, "{}"), said(GATEWAY, "edge", at, "{}")],
    }
}

type All = (Vec<Tally>, Option<RefusedHandshake>, Vec<Said>);

pub(crate) fn all(memory: &Memory) -> All {
    let tallies = [HANDSHAKES, REFUSALS]
        .into_iter()
        .flat_map(|kind| memory.tallies(kind, Span::Hour, Timestamp::UNIX_EPOCH).unwrap());
    let said = [CLIENT, GATEWAY].into_iter().flat_map(|kind| memory.said(kind, 0).unwrap());
    let said = said.map(|one| Said { change: 0, ..one });
    (tallies.collect(), memory.refused_handshake(1).unwrap(), said.collect())
}

fn tell(memory: &Memory, observed: Observed) {
    memory.observe(observed, testkit::now()).unwrap();
}

#[test]
fn counts_are_added_up_and_read_by_kind_length_and_time() {
    every_memory(|memory| {
        let now = testkit::now();
        let before = now - SignedDuration::from_hours(2);
        let tls12 = Tally { tls_version: "TLSv1.2".to_owned(), ..tally("alice", now, 1) };
        let day = Tally { span: Span::Day, start: Span::Day.start(now), ..tally("alice", now, 9) };
        let other = Tally { kind: REFUSALS.to_owned(), ..tally("expired", now, 4) };
        let first = vec![tally("alice", now, 2), tally("bob", before, 5), tls12.clone(), day.clone(), other];
        tell(&memory, Observed { tallies: first, ..Observed::default() });
        tell(&memory, Observed { tallies: vec![tally("alice", now, 3)], ..Observed::default() });
        let read = |span, from| memory.tallies(HANDSHAKES, span, from).unwrap();
        let hours = [tally("bob", before, 5), tls12.clone(), tally("alice", now, 5)];
        assert_eq!(read(Span::Hour, before - SignedDuration::from_hours(1)), hours);
        assert_eq!(read(Span::Hour, Span::Hour.start(now)), [tls12, tally("alice", now, 5)]);
        assert_eq!(read(Span::Day, Timestamp::UNIX_EPOCH), [day]);
        assert_eq!(memory.tallies(REFUSALS, Span::Hour, Timestamp::UNIX_EPOCH).unwrap()[0].count, 4);
    });
}

#[test]
fn no_count_is_too_high_for_the_memory() {
    every_memory(|memory| {
        for count in [1, u64::MAX, u64::MAX, 7] {
            let tallies = vec![tally("alice", testkit::now(), count)];
            tell(&memory, Observed { tallies, ..Observed::default() });
        }
        let read = memory.tallies(HANDSHAKES, Span::Hour, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(read[0].count, (1 << 62) - 1);
    });
}

#[test]
fn names_beyond_the_bound_are_counted_together_and_no_handshake_is_lost() {
    every_memory(|memory| {
        let now = testkit::now();
        let names = 0..2 * MOST_TALLIES;
        let tallies: Vec<Tally> = names.map(|number| tally(&format!("client {number:04}"), now, 1)).collect();
        for _ in 0..2 {
            tell(&memory, Observed { tallies: tallies.clone(), ..Observed::default() });
        }
        let read = memory.tallies(HANDSHAKES, Span::Hour, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(read.len(), MOST_TALLIES + 1);
        assert_eq!(read.iter().map(|one| one.count).sum::<u64>(), 4 * MOST_TALLIES as u64);
        assert_eq!((read[0].name.as_str(), read[0].count), ("", 2 * MOST_TALLIES as u64));
        // Another hour has room of its own, and what is too old goes.
        let later = now + Span::Hour.kept() + SignedDuration::from_hours(1);
        memory
            .observe(Observed { tallies: vec![tally("alice", later, 1)], ..Observed::default() }, later)
            .unwrap();
        let read = memory.tallies(HANDSHAKES, Span::Hour, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(read, [tally("alice", later, 1)]);
    });
}

#[test]
fn refused_handshakes_are_numbered_over_all_and_the_newest_stay() {
    every_memory(|memory| {
        let three = (1..=3).map(|number| refused(&format!("{{\"n\":{number}}}"), number)).collect();
        tell(&memory, Observed { refusals: three, ..Observed::default() });
        let list = memory.refused_handshakes(1, 10).unwrap();
        assert_eq!(list.iter().map(|one| one.number).collect::<Vec<_>>(), [3, 2]);
        assert!(list.iter().all(|one| one.recording.is_none()), "a list has no recordings");
        assert_eq!(memory.refused_handshakes(0, 1).unwrap()[0].number, 3);
        let whole = memory.refused_handshake(2).unwrap().unwrap();
        assert_eq!((whole.body.as_str(), whole.recording), ("{\"n\":2}", Some(vec![7, 7])));
        assert_eq!(memory.refused_handshake(4).unwrap(), None);
        for _ in 0..3 {
            let many = (0..MOST_REFUSALS).map(|_| refused("{}", 0)).collect();
            tell(&memory, Observed { refusals: many, ..Observed::default() });
        }
        let list = memory.refused_handshakes(0, usize::MAX).unwrap();
        assert_eq!((list.len(), list[0].number), (MOST_REFUSALS, 3 + 3 * MOST_REFUSALS as u64));
        let large = MOST_RECORDED / 8;
        let many = (0..10).map(|_| refused("{}", large)).collect();
        tell(&memory, Observed { refusals: many, ..Observed::default() });
        let list = memory.refused_handshakes(0, usize::MAX).unwrap();
        assert_eq!((list.len(), list[0].number), (8, 13 + 3 * MOST_REFUSALS as u64));
    });
}

#[test]
fn what_was_last_said_is_told_once_to_whoever_knows_the_rest() {
    every_memory(|memory| {
        let now = testkit::now();
        let earlier = now - SignedDuration::from_mins(1);
        tell(
            &memory,
            Observed {
                said: vec![said(CLIENT, "a", now, "1"), said(GATEWAY, "g", now, "2")],
                ..Observed::default()
            },
        );
        let first = memory.said(CLIENT, 0).unwrap();
        assert_eq!(first, [Said { change: first[0].change, ..said(CLIENT, "a", now, "1") }]);
        assert!(first[0].change > 0);
        assert_eq!(memory.said(CLIENT, first[0].change).unwrap(), []);
        // What is older than what is known is not taken.
        tell(
            &memory,
            Observed {
                said: vec![said(CLIENT, "a", earlier, "old"), said(CLIENT, "b", earlier, "3")],
                ..Observed::default()
            },
        );
        let news = memory.said(CLIENT, first[0].change).unwrap();
        assert_eq!(news.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["b"]);
        tell(&memory, Observed { said: vec![said(CLIENT, "a", now, "4")], ..Observed::default() });
        let news = memory.said(CLIENT, news[0].change).unwrap();
        assert_eq!((news.len(), news[0].body.as_str()), (1, "4"));
        assert_eq!(memory.said(GATEWAY, 0).unwrap().len(), 1);
    });
}

#[test]
fn as_many_clients_and_gateways_are_remembered_as_the_bound_says() {
    every_memory(|memory| {
        let (kind, most) = MOST_SAID.iter().find(|(kind, _)| *kind == GATEWAY).unwrap();
        for number in 0..most + 20 {
            let one = said(kind, &format!("gateway {number:05}"), testkit::now(), "{}");
            tell(&memory, Observed { said: vec![one], ..Observed::default() });
        }
        let read = memory.said(kind, 0).unwrap();
        assert_eq!(read.len(), *most);
        assert_eq!(read[0].id, "gateway 00020");
    });
}
