//! The state machines, walked along every edge of RFC 8555 section 7.1.6, and across those that are not there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use pki::csr::build_request;
use pki::name::SubjectNames;
use testkit::TestKey;

use super::*;
use crate::acme::challenge::{Begun, ChallengeKind, ChallengeStatus};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn dns(name: &str) -> Identifier {
    Identifier::parse("dns", name).unwrap()
}

fn order(names: &[&str]) -> Order {
    let identifiers: Vec<_> = names.iter().map(|name| dns(name)).collect();
    let mut count = 0;
    let mut token = || {
        count += 1;
        Ok::<_, std::convert::Infallible>(format!("token-{count}"))
    };
    let authorizations =
        identifiers.iter().map(|name| Authorization::new(name, at(1000), &mut token).unwrap()).collect();
    Order::new(NewOrder {
        id: "o".to_owned(),
        account: "a".to_owned(),
        profile: Profile::Server,
        identifiers,
        not_after: None,
        expires: at(1000),
        authorizations,
        replaces: None,
    })
}

fn request(names: &[&str]) -> CertificateRequest {
    let names = SubjectNames::for_server(names).unwrap();
    CertificateRequest::from_der(&build_request(&names, &TestKey::p256()).unwrap()).unwrap()
}

fn show(order: &mut Order, index: usize, result: Result<(), Refusal>) {
    let authorization = &mut order.authorizations[index];
    let kind = authorization.challenges[0].kind;
    assert_eq!(authorization.begin(kind, at(1)), Begun::Now);
    authorization.conclude(kind, result, at(2));
}

#[test]
fn order_goes_from_pending_to_valid_when_every_name_is_shown() {
    let mut order = order(&["a.test", "b.test"]);
    assert_eq!(order.status(at(0)), OrderStatus::Pending);
    show(&mut order, 0, Ok(()));
    assert_eq!(order.status(at(3)), OrderStatus::Pending);
    show(&mut order, 1, Ok(()));
    assert_eq!(order.status(at(3)), OrderStatus::Ready);
    order.begin(&request(&["a.test", "b.test"]), &[], at(4)).unwrap();
    assert_eq!(order.status(at(4)), OrderStatus::Processing);
    order.conclude(Ok(vec![1, 2]));
    assert_eq!((order.status(at(2000)), order.serial()), (OrderStatus::Valid, Some(&[1, 2][..])));
    assert_eq!(order.error(at(2000)), None);
}

#[test]
fn order_is_invalid_with_the_reason_when_a_name_is_not_shown() {
    let mut order = order(&["a.test", "b.test"]);
    show(&mut order, 0, Err(Refusal::new(Kind::Connection, "refused")));
    assert_eq!(order.status(at(3)), OrderStatus::Invalid);
    assert_eq!(order.error(at(3)), Some(Refusal::new(Kind::Connection, "refused")));
    assert_eq!(
        order.authorizations[1].begin(ChallengeKind::Http01, at(3)),
        Begun::Now,
        "the other name may go on"
    );
    let refused = order.begin(&request(&["a.test", "b.test"]), &[], at(4)).unwrap_err();
    assert_eq!(refused.kind, Kind::OrderNotReady);
}

#[test]
fn nothing_is_issued_before_the_names_are_shown_or_after_the_order_ended() {
    let mut order = order(&["a.test"]);
    assert_eq!(order.begin(&request(&["a.test"]), &[], at(0)).unwrap_err().kind, Kind::OrderNotReady);
    show(&mut order, 0, Ok(()));
    assert_eq!(order.begin(&request(&["a.test"]), &[], at(1000)).unwrap_err().kind, Kind::OrderNotReady);
    order.begin(&request(&["a.test"]), &[], at(5)).unwrap();
    assert_eq!(order.begin(&request(&["a.test"]), &[], at(5)).unwrap_err().kind, Kind::OrderNotReady, "once");
    assert_eq!(order.status(at(126)), OrderStatus::Invalid, "an issuance that was interrupted is given up");
}

#[test]
fn deactivated_authorization_ends_the_order() {
    let mut order = order(&["a.test"]);
    show(&mut order, 0, Ok(()));
    order.authorizations[0].deactivate();
    assert_eq!(order.status(at(3)), OrderStatus::Invalid);
    assert!(order.error(at(3)).unwrap().detail.contains("deactivated"));
}

#[test]
fn challenge_is_validated_once_and_its_verdict_stays() {
    let mut order = order(&["a.test"]);
    let authorization = &mut order.authorizations[0];
    authorization.conclude(ChallengeKind::Http01, Ok(()), at(0));
    assert_eq!(
        authorization.status(at(0)),
        AuthorizationStatus::Pending,
        "a verdict without a beginning is none"
    );
    assert_eq!(authorization.begin(ChallengeKind::Http01, at(1)), Begun::Now);
    assert_eq!(authorization.begin(ChallengeKind::Http01, at(2)), Begun::Before, "it runs");
    assert_eq!(authorization.begin(ChallengeKind::Http01, at(200)), Begun::Now, "its process has ended");
    authorization.conclude(ChallengeKind::Http01, Err(Refusal::malformed("x")), at(201));
    authorization.conclude(ChallengeKind::Http01, Ok(()), at(202));
    assert_eq!(authorization.status(at(203)), AuthorizationStatus::Invalid);
    assert_eq!(authorization.challenges[0].status, ChallengeStatus::Invalid);
    assert_eq!(authorization.begin(ChallengeKind::Dns01, at(203)), Begun::Before);
}

#[test]
fn wildcard_is_shown_by_dns_alone_and_an_address_never() {
    let of = |identifier: &Identifier| {
        let token = || Ok::<_, std::convert::Infallible>(String::new());
        let authorization = Authorization::new(identifier, at(9), token).unwrap();
        authorization.challenges.iter().map(|challenge| challenge.kind.name()).collect::<Vec<_>>()
    };
    assert_eq!(of(&dns("*.a.test")), ["dns-01"]);
    assert_eq!(of(&dns("a.test")), ["http-01", "dns-01", "tls-alpn-01"]);
    assert_eq!(of(&Identifier::parse("ip", "10.0.0.1").unwrap()), ["http-01", "tls-alpn-01"]);
}

#[test]
fn request_names_what_was_ordered_and_nothing_else() {
    let check = |asked: &[&str], ordered: &[&str]| {
        let ordered: Vec<_> = ordered.iter().map(|name| dns(name)).collect();
        check_names(&request(asked), &ordered, &[]).map_err(|refusal| refusal.detail)
    };
    assert_eq!(check(&["a.test", "b.test"], &["b.test", "a.test"]), Ok(()));
    assert!(check(&["a.test", "evil.test"], &["a.test"]).unwrap_err().contains("evil.test"));
    assert!(check(&["a.test"], &["a.test", "b.test"]).unwrap_err().contains("b.test"));
    assert!(check(&["*.a.test"], &["a.test"]).is_err());
    assert!(check(&["10.0.0.1", "a.test"], &["a.test"]).is_err());
}

#[test]
fn order_is_read_back_from_its_record_in_every_state() {
    let mut order = order(&["a.test", "*.b.test"]);
    let check = |order: &Order| assert_eq!(Order::from_body("o", &order.body()).as_ref(), Some(order));
    check(&order);
    show(&mut order, 0, Ok(()));
    show(&mut order, 1, Ok(()));
    check(&order);
    order.begin(&request(&["a.test", "*.b.test"]), &[], at(4)).unwrap();
    check(&order);
    let mut failed = order.clone();
    failed.conclude(Err(Refusal::new(Kind::Dns, "no")));
    check(&failed);
    order.conclude(Ok(vec![7]));
    check(&order);
}
