//! Issuances that came to nothing: they say why.

use std::sync::atomic::{AtomicBool, Ordering};

use ca::{Authority, IssueError, Selector, Store as _, StoreError, verify_audit};
use pki::key::{PublicKey, SignError, SigningKey};
use testkit::TestKey;

use crate::worlds::{Memory, authority_of, entropy, every_memory, issue, issuing_key, request};

/// A token that signs, until it is taken out.
struct Token {
    key: TestKey,
    is_out: AtomicBool,
}

impl SigningKey for &'static Token {
    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if self.is_out.load(Ordering::Relaxed) {
            return Err(SignError::Refused("the token was taken out".to_owned()));
        }
        self.key.sign(message)
    }
}

#[test]
fn an_issuance_that_fails_after_its_intent_says_why_on_record_and_in_the_trail() {
    every_memory(|memory| {
        let key = issuing_key();
        drop(authority_of(&memory, &key));
        let token: &'static Token = Box::leak(Box::new(Token { key, is_out: AtomicBool::new(true) }));
        let authority = Authority::open(Memory::clone(&memory), Box::new(token), entropy()).unwrap();
        let error = authority.issue(request("alice"), testkit::now()).unwrap_err();
        assert!(matches!(error, IssueError::Sign(_)), "{error}");
        let unfinished = memory.unfinished().unwrap();
        assert_eq!(unfinished.len(), 1);
        let reason = unfinished[0].reason.clone().unwrap();
        assert!(reason.contains("the token was taken out"), "{reason}");
        let serial = unfinished[0].intent.serial.clone();
        let events = memory.audit(Some(&serial)).unwrap();
        assert_eq!(events.iter().map(|event| event.action.as_str()).collect::<Vec<_>>(), ["fail"]);
        assert!(events[0].details.contains("the token was taken out"), "{}", events[0].details);
        assert!(memory.find(&Selector::Serial(serial.clone())).unwrap().is_empty());
        // It is told once, and never of what was issued.
        let event = ca::NewEvent {
            at: testkit::now(),
            actor: "tester".to_owned(),
            origin: String::new(),
            action: "fail",
            serial: Some(serial.clone()),
            details: String::new(),
        };
        let again = memory.abandon(serial, "again".to_owned(), event.clone());
        assert!(matches!(again, Err(StoreError::NoIntent)), "{again:?}");
        token.is_out.store(false, Ordering::Relaxed);
        let issued = issue(&authority, "alice").certificate;
        let refused = memory.abandon(issued.serial().to_vec(), "no".to_owned(), event);
        assert!(matches!(refused, Err(StoreError::NoIntent)), "{refused:?}");
        assert_eq!(verify_audit(&memory.audit(None).unwrap()), Ok(()));
        // A copy knows it too.
        let copied: Memory = std::sync::Arc::new(store::MemoryStore::new());
        store::copy::copy(&memory, &copied).unwrap();
        assert_eq!(copied.unfinished().unwrap(), memory.unfinished().unwrap());
    });
}
