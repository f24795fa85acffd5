//! How accounts, orders and bindings stand in the authority's memory: records of its store, each read, stepped and
//! written back under the version that was read. Everything here blocks.

use std::sync::Arc;

use ca::{Commit, NewEvent, Record, Store, StoreError, Write};
use jiff::{SignedDuration, Timestamp};

use crate::acme::account::{Account, Binding};
use crate::acme::jose::AccountKey;
use crate::acme::order::Order;
use crate::acme::refusal::{Kind, Refusal};

pub(crate) const ACCOUNT: &str = "acme-account";
const KEY: &str = "acme-key";
const ORDER: &str = "acme-order";
const CERTIFICATE: &str = "acme-certificate";
const BINDING: &str = "acme-binding";
const REGISTRATION: &str = "acme-registration";
const NONCE: &str = "acme-nonce";
const SECRET: &str = "acme-secret";

/// How often a step is taken again when somebody else was faster.
const ATTEMPTS: usize = 16;

/// How long an order is kept after its end, so that clients can still look at it.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// By the rules.
    #[error("{}", .0.detail)]
    Refused(Refusal),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Refusal> for StepError {
    fn from(refusal: Refusal) -> Self {
        StepError::Refused(refusal)
    }
}

/// Something read, with what is needed to write it back.
#[derive(Debug, Clone)]
pub(crate) struct Stored<T> {
    pub(crate) value: T,
    record: Record,
}

/// The records of ACME in a store.
#[derive(Clone)]
pub(crate) struct Memory(pub(crate) Arc<dyn Store>);

fn unreadable(record: &Record) -> StoreError {
    StoreError::Database(format!("the record {} {} cannot be read", record.kind, record.id).into())
}

fn new_record(kind: &str, id: &str, owner: &str, expires: Option<Timestamp>, body: String) -> Record {
    Record { kind: kind.to_owned(), id: id.to_owned(), owner: owner.to_owned(), version: 0, expires, body }
}

fn is_conflict(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict { .. })
}

impl Memory {
    fn read<T>(
        &self,
        kind: &str,
        id: &str,
        parse: impl FnOnce(&str, &str) -> Option<T>,
    ) -> Result<Option<Stored<T>>, StoreError> {
        let Some(record) = self.0.record(kind, id)? else { return Ok(None) };
        let value = parse(&record.id, &record.body).ok_or_else(|| unreadable(&record))?;
        Ok(Some(Stored { value, record }))
    }

    fn commit(&self, writes: Vec<Write>, events: Vec<NewEvent>) -> Result<(), StoreError> {
        self.0.commit(Commit { writes, events, ..Commit::default() })
    }

    /// The account of this id.
    pub(crate) fn account(&self, id: &str) -> Result<Option<Stored<Account>>, StoreError> {
        self.read(ACCOUNT, id, Account::from_body)
    }

    /// The account that a key signs for.
    pub(crate) fn account_of_key(&self, key: &AccountKey) -> Result<Option<Stored<Account>>, StoreError> {
        match self.0.record(KEY, &key.thumbprint())? {
            Some(record) => self.account(&record.body),
            None => Ok(None),
        }
    }

    /// How many accounts were made from this address since a moment; `limit` and more count as `limit`.
    pub(crate) fn registrations(
        &self,
        address: &str,
        since: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let after = time_prefix(since);
        Ok(self.0.records(REGISTRATION, Some(address), Some(&after), limit)?.len())
    }

    /// Records a new account, with the use of its binding and a mark for the address that it came from.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the key has an account already or the binding was spent meanwhile.
    pub(crate) fn create_account(
        &self,
        account: &Account,
        key: &AccountKey,
        binding: Option<Stored<Binding>>,
        address: &str,
        event: NewEvent,
    ) -> Result<(), StoreError> {
        let owner = account.binding.as_deref().unwrap_or_default();
        let mark = format!("{}{}", time_prefix(account.created), account.id);
        let mark_end = account.created + SignedDuration::from_hours(1);
        let mut writes = vec![
            Write::Put(new_record(ACCOUNT, &account.id, owner, None, account.body())),
            Write::Put(new_record(KEY, &key.thumbprint(), "", None, account.id.clone())),
            Write::Put(new_record(REGISTRATION, &mark, address, Some(mark_end), String::new())),
        ];
        if let Some(Stored { value, mut record }) = binding {
            record.body = value.body();
            writes.push(Write::Put(record));
        }
        self.commit(writes, vec![event])
    }

    /// Reads an account, steps it, and writes it back if it changed.
    pub(crate) fn step_account(
        &self,
        id: &str,
        mut step: impl FnMut(&mut Account) -> Result<Option<NewEvent>, Refusal>,
    ) -> Result<Account, StepError> {
        for _ in 0..ATTEMPTS {
            let Stored { value: before, mut record } = self.account(id)?.ok_or_else(no_account)?;
            let mut account = before.clone();
            let event = step(&mut account)?;
            if account == before {
                return Ok(account);
            }
            record.body = account.body();
            match self.commit(vec![Write::Put(record)], event.into_iter().collect()) {
                Ok(()) => return Ok(account),
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy())
    }

    /// Gives an account another key (RFC 8555 section 7.3.5).
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the new key has an account, or the old one is not the account's any more.
    pub(crate) fn change_key(
        &self,
        account: Stored<Account>,
        old: &AccountKey,
        new: &AccountKey,
        event: NewEvent,
    ) -> Result<(), StoreError> {
        let Stored { mut value, mut record } = account;
        let old_record = self.0.record(KEY, &old.thumbprint())?.filter(|key| key.body == value.id);
        let conflict = || StoreError::Conflict { kind: KEY.to_owned(), id: old.thumbprint() };
        new.canonical_jwk().clone_into(&mut value.jwk);
        record.body = value.body();
        let writes = vec![
            Write::Put(record),
            Write::Delete(old_record.ok_or_else(conflict)?),
            Write::Put(new_record(KEY, &new.thumbprint(), "", None, value.id)),
        ];
        self.commit(writes, vec![event])
    }

    /// The order of this id.
    pub(crate) fn order(&self, id: &str) -> Result<Option<Stored<Order>>, StoreError> {
        self.read(ORDER, id, Order::from_body)
    }

    /// Records a new order.
    pub(crate) fn create_order(&self, order: &Order) -> Result<(), StoreError> {
        let kept = Some(order.expires + KEPT);
        self.commit(
            vec![Write::Put(new_record(ORDER, &order.id, &order.account, kept, order.body()))],
            Vec::new(),
        )
    }

    /// Reads an order, steps it, and writes it back if it changed; gives what the step gave, and the order.
    pub(crate) fn step_order<T>(
        &self,
        id: &str,
        mut step: impl FnMut(&mut Order) -> Result<T, Refusal>,
    ) -> Result<(T, Order), StepError> {
        for _ in 0..ATTEMPTS {
            let Stored { value: before, mut record } = self.order(id)?.ok_or_else(no_order)?;
            let mut order = before.clone();
            let result = step(&mut order)?;
            if order == before {
                return Ok((result, order));
            }
            record.body = order.body();
            match self.commit(vec![Write::Put(record)], Vec::new()) {
                Ok(()) => return Ok((result, order)),
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy())
    }

    /// The ids of an account's orders behind `after`, oldest first.
    pub(crate) fn orders_of(
        &self,
        account: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let records = self.0.records(ORDER, Some(account), after, limit)?;
        Ok(records.into_iter().map(|record| record.id).collect())
    }

    /// How many orders an account made since a moment; `limit` and more count as `limit`.
    pub(crate) fn orders_since(
        &self,
        account: &str,
        since: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        Ok(self.orders_of(account, Some(&time_prefix(since)), limit)?.len())
    }

    /// Ends an order that was processing, and with its success records whose the certificate is.
    pub(crate) fn conclude_order(
        &self,
        id: &str,
        result: &Result<(Vec<u8>, Timestamp), Refusal>,
    ) -> Result<Order, StepError> {
        for _ in 0..ATTEMPTS {
            let Stored { value: mut order, mut record } = self.order(id)?.ok_or_else(no_order)?;
            let mut writes = Vec::new();
            if let Ok((serial, end)) = result {
                let kept = Some(*end + KEPT);
                let name = pki::hex(serial);
                // The order is kept as long as its certificate: the certificate's URL is the order's.
                record.expires = kept;
                writes.push(Write::Put(new_record(
                    CERTIFICATE,
                    &name,
                    &order.account,
                    kept,
                    order.id.clone(),
                )));
                if let Some(replaced) = order.replaces.as_deref().filter(|_| order.serial().is_none()) {
                    let mark = format!("{}/replaced", pki::hex(replaced));
                    writes.push(Write::Put(new_record(CERTIFICATE, &mark, "", kept, order.id.clone())));
                }
            }
            order.conclude(result.clone().map(|(serial, _)| serial));
            record.body = order.body();
            writes.push(Write::Put(record));
            match self.commit(writes, Vec::new()) {
                Ok(()) => return Ok(order),
                Err(StoreError::Conflict { id, .. }) if id.ends_with("/replaced") => {
                    // Somebody replaced it meanwhile. Both certificates are good; the mark stays the first one's.
                    self.step_order(&order.id, |order| {
                        order.replaces = None;
                        Ok(())
                    })?;
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy())
    }

    /// Whose certificate it is, if it was ordered here: the account.
    pub(crate) fn owner_of(&self, serial: &[u8]) -> Result<Option<String>, StoreError> {
        Ok(self.0.record(CERTIFICATE, &pki::hex(serial))?.map(|record| record.owner))
    }

    /// Whether a certificate has been replaced by another order (RFC 9773 section 5).
    pub(crate) fn is_replaced(&self, serial: &[u8]) -> Result<bool, StoreError> {
        Ok(self.0.record(CERTIFICATE, &format!("{}/replaced", pki::hex(serial)))?.is_some())
    }

    /// The binding of this name.
    pub(crate) fn binding(&self, id: &str) -> Result<Option<Stored<Binding>>, StoreError> {
        self.read(BINDING, id, Binding::from_body)
    }

    /// All bindings.
    pub(crate) fn bindings(&self) -> Result<Vec<Binding>, StoreError> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|binding: &Binding| binding.id.clone());
            let page = self.0.records(BINDING, None, after.as_deref(), 500)?;
            if page.is_empty() {
                return Ok(all);
            }
            for record in page {
                let binding = Binding::from_body(&record.id, &record.body);
                all.push(binding.ok_or_else(|| unreadable(&record))?);
            }
        }
    }

    /// Records a new binding.
    pub(crate) fn create_binding(&self, binding: &Binding, event: NewEvent) -> Result<(), StoreError> {
        let owner = binding.identity.as_deref().unwrap_or_default();
        self.commit(
            vec![Write::Put(new_record(BINDING, &binding.id, owner, None, binding.body()))],
            vec![event],
        )
    }

    /// Revokes a binding; `None` where there is none of that name.
    pub(crate) fn revoke_binding(
        &self,
        id: &str,
        now: Timestamp,
        event: &NewEvent,
    ) -> Result<Option<Binding>, StoreError> {
        loop {
            let Some(Stored { mut value, mut record }) = self.binding(id)? else { return Ok(None) };
            if value.revoked.is_none() {
                value.revoked = Some(now);
                value.mac_key.clear();
                record.body = value.body();
                match self.commit(vec![Write::Put(record)], vec![event.clone()]) {
                    Err(error) if is_conflict(&error) => continue,
                    result => result?,
                }
            }
            return Ok(Some(value));
        }
    }

    /// Spends a nonce for all replicas: true once.
    pub(crate) fn spend_nonce(&self, id: &str, expires: Timestamp) -> Result<bool, StoreError> {
        match self
            .commit(vec![Write::Put(new_record(NONCE, id, "", Some(expires), String::new()))], Vec::new())
        {
            Ok(()) => Ok(true),
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The secret that all replicas make nonces with: `fresh`, if there is none yet.
    pub(crate) fn secret(&self, fresh: &[u8; 32]) -> Result<[u8; 32], StoreError> {
        loop {
            if let Some(record) = self.0.record(SECRET, "nonces")? {
                let octets = pki::unhex(&record.body);
                return octets.and_then(|octets| octets.try_into().ok()).ok_or_else(|| unreadable(&record));
            }
            match self
                .commit(vec![Write::Put(new_record(SECRET, "nonces", "", None, pki::hex(fresh)))], Vec::new())
            {
                Err(error) if is_conflict(&error) => {}
                result => result?,
            }
        }
    }
}

/// The first eight characters of an id made at this moment: ids made in order are in order.
pub(crate) fn time_prefix(at: Timestamp) -> String {
    format!("{:08x}", at.as_second().clamp(0, i64::from(u32::MAX)))
}

fn no_account() -> Refusal {
    Refusal::new(Kind::AccountDoesNotExist, "there is no such account")
}

/// The same answer for an order that is not there and for one of another account.
pub(crate) fn no_order() -> Refusal {
    Refusal::unauthorized("there is no such order of this account")
}

fn busy() -> StepError {
    let detail = "too many requests change this at once; try again";
    StepError::Refused(Refusal::new(Kind::RateLimited, detail).after(1))
}
