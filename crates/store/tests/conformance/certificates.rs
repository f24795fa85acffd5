//! Certificates: found, listed, revoked, put on lists; and the audit trail they leave.

use ca::publication::partition;
use ca::{
    Identity, Query, Selector, StateFilter, Store as _, StoreError, Who, release, revoke, verify_audit,
};
use pki::crl::{CertificateRevocationList, RevocationReason};

use crate::worlds::{Memory, authority, every_memory, issue};

fn labels(page: &ca::Page) -> Vec<&str> {
    page.entries.iter().map(|entry| entry.label.as_str()).collect()
}

#[test]
fn what_was_issued_is_found_by_name_by_serial_and_by_part_of_either() {
    every_memory(|memory| {
        let authority = authority(&memory);
        let alice = issue(&authority, "alice@shop.test").certificate;
        issue(&authority, "bob");
        issue(&authority, "Alice@shop.test");
        let found = memory.find(&Selector::parse("ALICE@shop.test")).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].serial, alice.serial());
        assert_eq!(found[1].der, alice.der());
        let by_serial = memory.find(&Selector::Serial(alice.serial().to_vec())).unwrap();
        assert_eq!(by_serial, found[1..]);
        let start = alice.serial_hex().replace(':', "")[..12].to_owned();
        assert_eq!(memory.find(&Selector::parse(&start)).unwrap(), by_serial);
        let search = |text: &str| {
            let query = Query { search: Some(text.to_owned()), ..Query::default() };
            memory.list(&query, testkit::now()).unwrap()
        };
        assert_eq!(labels(&search("shop.test")), ["Alice@shop.test", "alice@shop.test"]);
        assert_eq!(labels(&search(&start)), ["alice@shop.test"]);
        assert_eq!(labels(&search("bo")), ["bob"]);
        assert_eq!(labels(&search("%")), Vec::<&str>::new());
        assert_eq!(labels(&search("no-one")), Vec::<&str>::new());
        let page = memory.list(&Query { limit: 2, ..Query::default() }, testkit::now()).unwrap();
        assert_eq!((labels(&page), page.more), (vec!["Alice@shop.test", "bob"], true));
        assert!(memory.unfinished().unwrap().is_empty());
    });
}

#[test]
fn a_fingerprint_or_its_start_finds_the_certificate_however_it_is_written() {
    every_memory(|memory| {
        let authority = authority(&memory);
        issue(&authority, "alice");
        let bob = issue(&authority, "bob").certificate;
        issue(&authority, "carol");
        let search = |text: &str, state| {
            let query = Query { search: Some(text.to_owned()), state, ..Query::default() };
            labels(&memory.list(&query, testkit::now()).unwrap()).join(" ")
        };
        let digits = pki::hex(&bob.sha256());
        let pairs: Vec<&str> = (0..32).map(|place| &digits[2 * place..2 * place + 2]).collect();
        let colons = pairs.join(":");
        for text in
            [&digits, &colons, &digits.to_uppercase(), &colons.to_uppercase(), &digits[..16], &colons[..23]]
        {
            assert_eq!(search(text, StateFilter::Any), "bob", "{text}");
            assert_eq!(search(&format!(" {text} "), StateFilter::Good), "bob", "{text}");
            assert_eq!(search(text, StateFilter::Revoked), "", "{text}");
            let soon = StateFilter::ExpiringBefore(testkit::days_from_now(100));
            assert_eq!(search(text, soon), "bob", "{text}");
        }
        let find = |text: &str| {
            let found = memory.find(&Selector::parse(text)).unwrap();
            found.iter().map(|entry| entry.label.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!((find(&digits), find(&colons.to_uppercase())), ("bob".to_owned(), "bob".to_owned()));
        assert_eq!(find(&digits[..62]), "", "to name one, and not to look for it, takes all of it");
        let mut other = bob.sha256();
        other[31] ^= 1;
        assert_eq!(find(&pki::hex(&other)), "");
        assert_eq!(search(&pki::hex(&other), StateFilter::Any), "");
    });
}

#[test]
fn page_after_page_is_the_whole_list_whatever_it_is_narrowed_to() {
    every_memory(|memory| {
        let authority = authority(&memory);
        let identity =
            Identity { label: "svc-2".to_owned(), partner: Some("acme".to_owned()), ..Identity::default() };
        identity.put(&memory, Who::from("warden"), testkit::now()).unwrap();
        let issued: Vec<_> = (0..23).map(|n| issue(&authority, &format!("svc-{}", n % 3))).collect();
        for one in issued.iter().step_by(3) {
            let which = Selector::Serial(one.certificate.serial().to_vec());
            revoke(&memory, &which, RevocationReason::Superseded, "warden", testkit::now()).unwrap();
        }
        // Three that ended, the last one of them first.
        for (serial, days) in [(0x51, -5), (0x52, -3), (0x53, -9)] {
            put_one_that_ends(&memory, serial, days);
        }
        let ended = Query { state: StateFilter::Expired, ..Query::default() };
        let ended = memory.list(&ended, testkit::now()).unwrap().entries;
        assert_eq!(ended.iter().map(|entry| entry.serial[0]).collect::<Vec<_>>(), [0x52, 0x51, 0x53]);
        let soon = StateFilter::ExpiringBefore(testkit::days_from_now(100));
        let text = |text: &str| Query { search: Some(text.to_owned()), ..Query::default() };
        let queries = [
            ("all", Query::default()),
            ("three letters", text("svc")),
            ("two letters", text("sv")),
            ("one name", text("svc-1")),
            ("the start of a serial number", text(&pki::hex(&issued[0].certificate.serial()[..8]))),
            ("good", Query { state: StateFilter::Good, ..Query::default() }),
            ("revoked", Query { state: StateFilter::Revoked, ..Query::default() }),
            ("revoked, three letters", Query { state: StateFilter::Revoked, ..text("svc") }),
            ("revoked, two letters", Query { state: StateFilter::Revoked, ..text("sv") }),
            (
                "revoked, the start of a fingerprint",
                Query {
                    state: StateFilter::Revoked,
                    ..text(&pki::hex(&issued[0].certificate.sha256()[..6]))
                },
            ),
            ("ended", Query { state: StateFilter::Expired, ..Query::default() }),
            ("ended, three letters", Query { state: StateFilter::Expired, ..text("svc") }),
            ("ended, two letters", Query { state: StateFilter::Expired, ..text("sv") }),
            ("by their end", Query { state: soon, ..Query::default() }),
            ("by their end, three letters", Query { state: soon, ..text("svc") }),
            ("by their end, two letters", Query { state: soon, ..text("sv") }),
            ("of a partner", Query { partner: Some("acme".to_owned()), ..Query::default() }),
            ("of a partner, three letters", Query { partner: Some("acme".to_owned()), ..text("svc") }),
        ];
        for (name, query) in &queries {
            let whole = memory.list(query, testkit::now()).unwrap().entries;
            assert!(!whole.is_empty(), "{name}");
            for limit in [1, 2, 7, 22, 23, 24] {
                let (mut paged, mut after) = (Vec::new(), None);
                loop {
                    let page = Query { limit, after, ..query.clone() };
                    let page = memory.list(&page, testkit::now()).unwrap();
                    paged.extend(page.entries);
                    if !page.more {
                        break;
                    }
                    after = paged.last().map(|entry| entry.serial.clone());
                }
                assert_eq!(paged, whole, "{name}, {limit} at a time");
            }
            let behind = |serial: &[u8]| {
                let query = Query { after: Some(serial.to_vec()), ..query.clone() };
                memory.list(&query, testkit::now()).unwrap().entries
            };
            assert_eq!(behind(&whole[whole.len() - 1].serial), [], "{name}");
            assert_eq!(behind(&[7; 20]), [], "{name}: behind one that is not here");
        }
        // The next page is the same where the one before it lost its last entry meanwhile.
        let good = &queries[5].1;
        let [.., before_last, last] = &memory.list(good, testkit::now()).unwrap().entries[..] else {
            panic!()
        };
        let which = Selector::Serial(before_last.serial.clone());
        revoke(&memory, &which, RevocationReason::Superseded, "warden", testkit::now()).unwrap();
        let next = Query { after: Some(before_last.serial.clone()), ..good.clone() };
        assert_eq!(memory.list(&next, testkit::now()).unwrap().entries, std::slice::from_ref(last));
    });
}

fn put_one_that_ends(memory: &Memory, serial: u8, days: i64) {
    let (now, serial) = (testkit::now(), vec![serial; 16]);
    let intent = ca::Intent {
        serial: serial.clone(),
        profile: pki::Profile::Client,
        label: "svc-old".to_owned(),
        tbs: vec![1],
        not_before: testkit::days_from_now(-20),
        not_after: testkit::days_from_now(days),
        requested_by: "tester".to_owned(),
        requested_at: now,
        replaces: None,
        location: None,
        line: 1,
    };
    memory.record_intent(intent).unwrap();
    let event = ca::NewEvent {
        at: now,
        actor: "tester".to_owned(),
        origin: String::new(),
        action: "issue",
        serial: Some(serial.clone()),
        details: String::new(),
    };
    let der = [b"no certificate ", &serial[..]].concat();
    memory
        .complete(ca::Completion { serial, der, names: "svc-old".to_owned(), issued_at: now }, event)
        .unwrap();
}

#[test]
fn of_a_partner_are_the_certificates_of_its_identities_and_no_others() {
    every_memory(|memory| {
        let authority = authority(&memory);
        for (label, partner) in [
            ("acme-web", Some("acme")),
            ("Acme-Mail", Some("acme")),
            ("globex", Some("globex")),
            ("free", None),
        ] {
            let identity = Identity {
                label: label.to_owned(),
                partner: partner.map(str::to_owned),
                ..Identity::default()
            };
            identity.put(&memory, Who::from("warden"), testkit::now()).unwrap();
        }
        for label in ["acme-web", "globex", "ACME-MAIL", "acme-other", "free", "acme-web"] {
            issue(&authority, label);
        }
        revoke(
            &memory,
            &Selector::parse("acme-mail"),
            RevocationReason::Superseded,
            "warden",
            testkit::now(),
        )
        .unwrap();
        let list = |partner: &str, query: Query| {
            let query = Query { partner: Some(partner.to_owned()), ..query };
            let page = memory.list(&query, testkit::now()).unwrap();
            format!("{}{}", labels(&page).join(" "), if page.more { " …" } else { "" })
        };
        assert_eq!(list("acme", Query::default()), "acme-web ACME-MAIL acme-web", "newest first");
        assert_eq!(list("acme", Query { limit: 2, ..Query::default() }), "acme-web ACME-MAIL …");
        assert_eq!(list("globex", Query::default()), "globex");
        assert_eq!(list("acme", Query { state: StateFilter::Revoked, ..Query::default() }), "ACME-MAIL");
        assert_eq!(
            list("acme", Query { state: StateFilter::Good, limit: 1, ..Query::default() }),
            "acme-web …"
        );
        let soon = StateFilter::ExpiringBefore(testkit::days_from_now(100));
        assert_eq!(list("acme", Query { state: soon, ..Query::default() }), "acme-web acme-web");
        let search = |text: &str| Query { search: Some(text.to_owned()), ..Query::default() };
        assert_eq!(list("acme", search("mail")), "ACME-MAIL");
        assert_eq!(list("acme", search("ac")), "acme-web ACME-MAIL acme-web", "two characters");
        assert_eq!(list("acme", search("glob")), "");
        for none in ["Acme", "", "nobody", "' OR 1=1 --"] {
            assert_eq!(list(none, search("globex")), "", "{none}");
            assert_eq!(
                list(none, Query { profile: Some(pki::Profile::Server), ..Query::default() }),
                "",
                "{none}"
            );
        }
    });
}

#[test]
fn states_are_told_apart_by_date_and_revocation() {
    every_memory(|memory| {
        let authority = authority(&memory);
        issue(&authority, "alice");
        issue(&authority, "bob");
        let reason = RevocationReason::KeyCompromise;
        revoke(&memory, &Selector::parse("bob"), reason, "warden", testkit::now()).unwrap();
        let list = |state, days| {
            let query = Query { state, ..Query::default() };
            labels(&memory.list(&query, testkit::days_from_now(days)).unwrap()).join(" ")
        };
        assert_eq!(list(StateFilter::Good, 0), "alice");
        assert_eq!(list(StateFilter::Good, 91), "");
        assert_eq!(list(StateFilter::Expired, 91), "alice");
        assert_eq!(list(StateFilter::Revoked, 0), "bob");
        assert_eq!(list(StateFilter::ExpiringBefore(testkit::days_from_now(100)), 0), "alice");
        assert_eq!(list(StateFilter::ExpiringBefore(testkit::days_from_now(10)), 0), "");
    });
}

#[test]
fn a_revoked_certificate_is_on_every_later_list_until_one_was_made_after_its_end() {
    every_memory(|memory| {
        let authority = authority(&memory);
        let alice = issue(&authority, "alice").certificate;
        let version = memory.revocation_version().unwrap();
        let (first, entries) = memory.begin_crl(testkit::now()).unwrap();
        assert!(entries.is_empty());
        let reason = RevocationReason::KeyCompromise;
        revoke(&memory, &Selector::parse("alice"), reason, "warden", testkit::now()).unwrap();
        assert!(memory.revocation_version().unwrap() > version);
        for days in [1, 91, 92] {
            let (number, entries) = memory.begin_crl(testkit::days_from_now(days)).unwrap();
            memory.finish_crl(number).unwrap();
            assert!(number > first);
            let expected = if days < 92 { vec![(alice.serial().to_vec(), reason)] } else { Vec::new() };
            assert_eq!(
                entries.into_iter().map(|(_, e)| (e.serial, e.reason)).collect::<Vec<_>>(),
                expected,
                "{days}"
            );
        }
    });
}

#[test]
fn a_list_that_was_numbered_and_never_signed_is_not_the_one_after_which_an_entry_is_left_out() {
    every_memory(|memory| {
        let authority = authority(&memory);
        issue(&authority, "alice");
        let reason = RevocationReason::KeyCompromise;
        revoke(&memory, &Selector::parse("alice"), reason, "warden", testkit::now()).unwrap();
        // A crash between numbering and signing: nobody ever saw this list.
        let (lost, entries) = memory.begin_crl(testkit::days_from_now(91)).unwrap();
        assert_eq!(entries.len(), 1);
        let (number, entries) = memory.begin_crl(testkit::days_from_now(92)).unwrap();
        assert_eq!(entries.len(), 1, "the first list after its end still has it (RFC 5280 section 3.3)");
        memory.finish_crl(number).unwrap();
        let (last, entries) = memory.begin_crl(testkit::days_from_now(93)).unwrap();
        assert!(entries.is_empty());
        assert!(lost < number && number < last);
    });
}

#[test]
fn an_older_copy_of_a_memory_goes_on_behind_every_list_number_that_was_used() {
    every_memory(|memory| {
        let authority = authority(&memory);
        let lifetime = jiff::SignedDuration::from_hours(24);
        // What was made after the copy is what this memory knows nothing of.
        let mut used = 0;
        for _ in 0..5 {
            used = memory.begin_crl(testkit::now()).unwrap().0.max(used);
        }
        let copy = store::MemoryStore::new();
        let other = crate::worlds::authority(&(std::sync::Arc::new(copy) as crate::worlds::Memory));
        let a_second_later = testkit::now() + jiff::SignedDuration::from_secs(1);
        let der = other.crl(a_second_later, lifetime).unwrap();
        assert!(other.store().list_number().unwrap() > used);
        CertificateRevocationList::from_der(&der).unwrap();
        // And a clock that was set back makes no number come again.
        let earlier = authority.store().begin_crl(testkit::days_from_now(-1)).unwrap().0;
        assert!(earlier > used);
    });
}

#[test]
fn counts_are_those_of_the_lists() {
    every_memory(|memory| {
        let authority = authority(&memory);
        for label in ["alice", "bob", "carol"] {
            issue(&authority, label);
        }
        let reason = RevocationReason::KeyCompromise;
        revoke(&memory, &Selector::parse("bob"), reason, "warden", testkit::now()).unwrap();
        let statistics = memory.statistics(testkit::now()).unwrap();
        assert_eq!((statistics.good, statistics.revoked, statistics.expired), (2, 1, 0));
        assert_eq!(statistics.expiring_soon, 0);
        assert_eq!(statistics.audit_length, memory.audit_length().unwrap());
        let today = statistics.by_day.last().unwrap();
        assert_eq!((statistics.by_day.len(), today.issued, today.revoked), (30, 3, 1));
        assert!(statistics.by_day[..29].iter().all(|day| day.issued == 0 && day.revoked == 0));
        // A client's certificate lives 90 days: it ends in the last of the 13 weeks.
        assert_eq!(statistics.by_week.len(), 13);
        assert_eq!(statistics.by_week.iter().map(|week| week.ending).collect::<Vec<_>>()[12], 2);
        let later = memory.statistics(testkit::days_from_now(70)).unwrap();
        assert_eq!((later.good, later.expiring_soon), (2, 2));
        let after = memory.statistics(testkit::days_from_now(100)).unwrap();
        assert_eq!((after.good, after.revoked, after.expired, after.expiring_soon), (0, 1, 2, 0));
    });
}

#[test]
fn one_on_hold_can_be_released_and_no_other_one() {
    every_memory(|memory| {
        let authority = authority(&memory);
        issue(&authority, "alice");
        issue(&authority, "bob");
        let on_hold = RevocationReason::CertificateHold;
        revoke(&memory, &Selector::parse("alice"), on_hold, "warden", testkit::now()).unwrap();
        let lost = RevocationReason::KeyCompromise;
        revoke(&memory, &Selector::parse("bob"), lost, "warden", testkit::now()).unwrap();
        let version = memory.revocation_version().unwrap();
        release(&memory, &Selector::parse("alice"), "warden", testkit::now()).unwrap();
        assert!(memory.revocation_version().unwrap() > version);
        assert!(release(&memory, &Selector::parse("alice"), "warden", testkit::now()).is_err());
        assert!(release(&memory, &Selector::parse("bob"), "warden", testkit::now()).is_err());
        let (_, entries) = memory.begin_crl(testkit::now()).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(verify_audit(&memory.audit(None).unwrap()), Ok(()));
    });
}

#[test]
fn the_parts_of_a_list_hold_each_revoked_certificate_once_and_in_its_own_part() {
    every_memory(|memory| {
        let authority = authority(&memory);
        let serials: Vec<Vec<u8>> =
            (0..20).map(|n| issue(&authority, &format!("c{n}")).certificate.serial().to_vec()).collect();
        for serial in &serials {
            let selector = Selector::Serial(serial.clone());
            revoke(&memory, &selector, RevocationReason::Superseded, "warden", testkit::now()).unwrap();
        }
        let lifetime = jiff::SignedDuration::from_hours(24);
        let place = |_, _| Vec::new();
        let mut lists = authority.lists(testkit::now(), lifetime, 4, place).unwrap();
        assert_eq!(lists.len(), 1, "one line, and so one issuer of lists");
        let parts = lists.remove(0).parts;
        let parts: Vec<_> =
            parts.iter().map(|der| CertificateRevocationList::from_der(der).unwrap()).collect();
        assert_eq!(parts.iter().map(CertificateRevocationList::len).sum::<usize>(), 20);
        for serial in &serials {
            assert!(parts[usize::from(partition(4, serial))].revocation(serial).is_some());
        }
    });
}

#[test]
fn each_line_has_its_own_certificates_and_one_number_is_for_the_lists_of_all() {
    every_memory(|memory| {
        let authority = authority(&memory);
        issue(&authority, "alice");
        let bob = issue(&authority, "bob").certificate;
        let intent = |serial: u8, profile, line| ca::Intent {
            serial: vec![serial; 16],
            profile,
            label: "carol".to_owned(),
            tbs: vec![1],
            not_before: testkit::now(),
            not_after: testkit::days_from_now(i64::from(serial)),
            requested_by: "carol".to_owned(),
            requested_at: testkit::now(),
            replaces: None,
            location: None,
            line,
        };
        let event = |serial: u8| ca::NewEvent {
            at: testkit::now(),
            actor: "carol".to_owned(),
            origin: String::new(),
            action: "issue",
            serial: Some(vec![serial; 16]),
            details: String::new(),
        };
        for (serial, profile) in
            [(0x20, pki::Profile::Client), (0x30, pki::Profile::Server), (0x70, pki::Profile::Responder)]
        {
            memory.record_intent(intent(serial, profile, 2)).unwrap();
            let completion = ca::Completion {
                serial: vec![serial; 16],
                der: vec![serial],
                names: "carol".to_owned(),
                issued_at: testkit::now(),
            };
            memory.complete(completion, event(serial)).unwrap();
        }
        memory.record_intent(intent(0x40, pki::Profile::Client, 2)).unwrap();
        let unfinished = memory.unfinished().unwrap();
        assert_eq!(unfinished.iter().map(|one| one.intent.line).collect::<Vec<_>>(), [2]);

        let query = |line| ca::Query { line, ..ca::Query::default() };
        let lines = |line| -> Vec<u32> {
            let page = memory.list(&query(line), testkit::now()).unwrap();
            page.entries.iter().map(|entry| entry.line).collect()
        };
        assert_eq!(lines(None), [2, 2, 2, 1, 1]);
        assert_eq!(lines(Some(1)), [1, 1]);
        assert_eq!(lines(Some(2)), [2, 2, 2]);
        assert_eq!(lines(Some(3)), Vec::<u32>::new());

        // What is about to be signed is not there yet, and a responder is nobody who would be cut off.
        let second = memory.line_standing(2, testkit::now()).unwrap();
        assert_eq!((second.good, second.last_end), (2, Some(testkit::days_from_now(0x30))));
        assert_eq!(memory.line_standing(2, testkit::days_from_now(0x28)).unwrap().good, 1);
        assert_eq!(memory.line_standing(3, testkit::now()).unwrap(), ca::LineStanding::default());
        let reason = RevocationReason::Superseded;
        for serial in [bob.serial().to_vec(), vec![0x30; 16]] {
            revoke(&memory, &Selector::Serial(serial), reason, "warden", testkit::now()).unwrap();
        }
        let second = memory.line_standing(2, testkit::now()).unwrap();
        assert_eq!((second.good, second.last_end), (1, Some(testkit::days_from_now(0x30))));
        let (number, mut entries) = memory.begin_crl(testkit::now()).unwrap();
        entries.sort_by_key(|(line, _)| *line);
        let listed: Vec<_> = entries.into_iter().map(|(line, entry)| (line, entry.serial)).collect();
        assert_eq!(listed, [(1, bob.serial().to_vec()), (2, vec![0x30; 16])]);
        memory.finish_crl(number).unwrap();
        // The lists of both were made together: after the end of each, one more has it, and then none.
        for (days, count) in [(0x31, 2), (0x32, 1), (91, 1), (92, 0)] {
            let (number, entries) = memory.begin_crl(testkit::days_from_now(days)).unwrap();
            assert_eq!(entries.len(), count, "{days}");
            memory.finish_crl(number).unwrap();
        }
    });
}

#[test]
fn a_serial_number_is_taken_once_and_a_record_completed_once() {
    every_memory(|memory| {
        let authority = authority(&memory);
        let alice = issue(&authority, "alice").certificate;
        let intent = ca::Intent {
            serial: alice.serial().to_vec(),
            profile: pki::Profile::Client,
            label: "eve".to_owned(),
            tbs: vec![1],
            not_before: testkit::now(),
            not_after: testkit::now(),
            requested_by: "eve".to_owned(),
            requested_at: testkit::now(),
            replaces: None,
            location: None,
            line: 1,
        };
        let error = memory.record_intent(intent.clone()).unwrap_err();
        assert!(matches!(error, StoreError::DuplicateSerial), "{error}");
        let other = ca::Intent { serial: vec![0x55; 16], ..intent };
        memory.record_intent(other.clone()).unwrap();
        assert_eq!(memory.unfinished().unwrap(), [ca::Unfinished { intent: other, reason: None }]);
        let completion = ca::Completion {
            serial: alice.serial().to_vec(),
            der: vec![1],
            names: String::new(),
            issued_at: testkit::now(),
        };
        let event = memory.audit(None).unwrap().len();
        let note = ca::NewEvent {
            at: testkit::now(),
            actor: "eve".to_owned(),
            origin: String::new(),
            action: "issue",
            serial: None,
            details: String::new(),
        };
        let error = memory.complete(completion, note).unwrap_err();
        assert!(matches!(error, StoreError::NoIntent), "{error}");
        assert_eq!(memory.audit(None).unwrap().len(), event);
    });
}

#[test]
fn an_authority_is_made_once() {
    every_memory(|memory| {
        let first = authority(&memory);
        let record = memory.authority().unwrap().unwrap();
        assert_eq!(record.name, first.name());
        let event = memory.audit(None).unwrap()[0].clone();
        assert_eq!((event.sequence, event.action.as_str()), (1, "create"));
        let again = ca::NewEvent {
            at: testkit::now(),
            actor: "eve".to_owned(),
            origin: String::new(),
            action: "create",
            serial: None,
            details: String::new(),
        };
        assert!(matches!(
            memory.create_authority(record, ca::Commit::default().noting(again)),
            Err(StoreError::AuthorityExists)
        ));
    });
}
