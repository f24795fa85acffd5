//! A partner's limit holds whoever asks, however many at once, and whatever was interrupted.

use std::net::{IpAddr, Ipv4Addr};

use ca::redeem::From;
use ca::{
    Invite, InviteError, NewInvite, Partner, RedeemError, Redeemed, StateFilter, Step, Store as _, Who,
};
use jiff::SignedDuration;
use pki::Profile;
use pki::crl::RevocationReason;
use pki::key::SigningKey as _;
use pki::name::SubjectNames;
use testkit::{KeyKind, TestKey};

use crate::worlds::{Memory, authority, authority_of, entropy, every_memory, issuing_key};

const FROM: From<'static> = From { address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), way: "join" };

/// An invite for the partner "acme", which may have so many certificates; its code.
fn invite(memory: &Memory, most: u32) -> String {
    let by = Who::from("warden");
    Partner { name: "acme".to_owned(), contact: None, most_certificates: most }
        .put(memory, by, testkit::now())
        .unwrap();
    let wish = NewInvite {
        label: "acme-client".to_owned(),
        names: SubjectNames::for_client("acme-client").unwrap(),
        profile: Profile::Client,
        lifetime: None,
        uses: 20,
        open_for: SignedDuration::from_hours(24),
        approve: false,
        partner: Some("acme".to_owned()),
        contact: None,
    };
    Invite::create(memory, &entropy(), wish, by, testkit::now()).unwrap().1.reveal()
}

#[test]
fn of_many_who_join_at_once_no_more_get_a_certificate_than_the_partner_may_have() {
    every_memory(|memory| {
        let authority = authority(&memory);
        let code = invite(&memory, 3);
        let outcomes: Vec<Result<Redeemed, RedeemError>> = std::thread::scope(|scope| {
            let joining: Vec<_> = (0..12)
                .map(|_| {
                    let (authority, code) = (&authority, &code);
                    scope.spawn(move || {
                        let key = TestKey::generate(KeyKind::P256);
                        authority.redeem(
                            code,
                            key.public_key(),
                            &SubjectNames::default(),
                            FROM,
                            testkit::now(),
                        )
                    })
                })
                .collect();
            joining.into_iter().map(|joining| joining.join().unwrap()).collect()
        });
        let issued = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Redeemed::Issued(..)))).count();
        let full = |outcome: &&Result<Redeemed, RedeemError>| {
            matches!(outcome, Err(RedeemError::PartnerFull { most: 3, .. }))
        };
        assert_eq!((issued, outcomes.iter().filter(full).count()), (3, 9), "{outcomes:?}");
        assert_eq!(Partner::certificates(&memory, "acme", testkit::now()).unwrap(), 3);
        assert_eq!(memory.count_records("partner-place", "acme").unwrap(), 0, "every place was given back");
    });
}

#[test]
fn an_identity_of_one_partner_is_no_other_partners() {
    every_memory(|memory| {
        invite(&memory, 3);
        let by = Who::from("warden");
        let rival = Partner { name: "rival".to_owned(), contact: None, most_certificates: 9 };
        rival.put(&memory, by, testkit::now()).unwrap();
        let wish = NewInvite {
            label: "acme-client".to_owned(),
            names: SubjectNames::for_client("acme-client").unwrap(),
            profile: Profile::Client,
            lifetime: None,
            uses: 1,
            open_for: SignedDuration::from_hours(1),
            approve: false,
            partner: Some("rival".to_owned()),
            contact: None,
        };
        let refused = Invite::create(&memory, &entropy(), wish, by, testkit::now()).unwrap_err();
        assert!(matches!(refused, InviteError::OtherPartner { .. }), "{refused}");
    });
}

#[test]
fn a_use_whose_process_ended_after_recording_gives_the_same_certificate_again() {
    every_memory(|memory| {
        let issuing = issuing_key();
        drop(authority_of(&memory, &issuing));
        let code = invite(&memory, 1);
        let key = TestKey::generate(KeyKind::P256);
        // A panic once the certificate is recorded stands in for the end of the process.
        let open =
            || ca::Authority::open(Memory::clone(&memory), Box::new(issuing.clone()), entropy()).unwrap();
        let doomed = open().observed_by(|step| assert!(step != Step::Stored, "the process ends here"));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            doomed.redeem(&code, key.public_key(), &SubjectNames::default(), FROM, testkit::now())
        }));
        assert!(ended.is_err());
        let first = memory.log_entries(2, 10).unwrap();
        assert_eq!(first.len(), 1);
        let again =
            open().redeem(&code, key.public_key(), &SubjectNames::default(), FROM, testkit::now()).unwrap();
        let Redeemed::Issued(issued, _) = again else { panic!("{again:?}") };
        assert_eq!(issued.certificate.der(), first[0]);
        assert_eq!(memory.log_size().unwrap() - 2, 1, "one use, one certificate");
    });
}

#[test]
fn of_two_who_join_with_one_key_at_the_same_moment_both_get_the_same_certificate() {
    every_memory(|memory| {
        let issuing = issuing_key();
        drop(authority_of(&memory, &issuing));
        let code = invite(&memory, 3);
        // Neither goes on before both are about to sign: each has seen that nothing was issued for this key.
        let together = std::sync::Arc::new(std::sync::Barrier::new(2));
        let authority = ca::Authority::open(Memory::clone(&memory), Box::new(issuing.clone()), entropy())
            .unwrap()
            .observed_by(move |step| {
                if step == Step::IntentRecorded {
                    together.wait();
                }
            });
        let key = TestKey::generate(KeyKind::P256);
        let redeem =
            || authority.redeem(&code, key.public_key(), &SubjectNames::default(), FROM, testkit::now());
        let outcomes = std::thread::scope(|scope| {
            let both = [scope.spawn(redeem), scope.spawn(redeem)];
            both.map(|one| one.join().unwrap().unwrap())
        });
        let [one, other] = outcomes.map(|outcome| match outcome {
            Redeemed::Issued(issued, _) => issued.certificate,
            Redeemed::Waiting => panic!("nobody approves"),
        });
        assert_eq!(one.der(), other.der());
        assert_eq!(Partner::certificates(&memory, "acme", testkit::now()).unwrap(), 1);
        let spare =
            memory.list(&ca::Query { state: StateFilter::Revoked, ..Default::default() }, testkit::now());
        let spare = spare.unwrap().entries;
        assert_eq!(spare.len(), 1, "the one that nobody has seen was taken back");
        assert_ne!(spare[0].der, one.der());
        assert_eq!(spare[0].revoked.unwrap().reason, RevocationReason::Superseded);
    });
}

#[test]
fn an_address_that_guesses_is_shut_out_at_every_replica_and_others_are_not() {
    every_memory(|memory| {
        let issuing = issuing_key();
        drop(authority_of(&memory, &issuing));
        let code = invite(&memory, 1);
        let key = TestKey::generate(KeyKind::P256);
        let open =
            || ca::Authority::open(Memory::clone(&memory), Box::new(issuing.clone()), entropy()).unwrap();
        let replicas = [open(), open()];
        let ask = |replica: usize, code: &str, address: [u8; 4]| {
            let from = From { address: address.into(), way: "test" };
            replicas[replica].redeem(code, key.public_key(), &SubjectNames::default(), from, testkit::now())
        };
        // Each guess is at another invite, so that an address is all that they have in common.
        let (handle, secret) = code.split_once('-').unwrap();
        for guess in 1..=6 {
            let (start, end) = handle.split_at(guess);
            let tried = ask(guess % 2, &format!("{end}{start}-{secret}"), [192, 0, 2, 1]);
            assert!(matches!(tried, Err(ca::RedeemError::Unknown)), "{tried:?}");
        }
        for replica in 0..2 {
            let shut = ask(replica, &code, [192, 0, 2, 1]);
            assert!(matches!(shut, Err(ca::RedeemError::Blocked { .. })), "{shut:?}");
        }
        let other = ask(0, &code, [192, 0, 2, 2]);
        assert!(matches!(other, Ok(Redeemed::Issued(..))), "{other:?}");
    });
}
