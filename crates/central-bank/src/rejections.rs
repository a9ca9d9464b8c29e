//! Rejections: which banks' requests may no longer be ordered, whoever holds a copy.
//!
//! An operator's order carries the bank's whole request, so any operator who has it could submit it. Two things keep a
//! rejected request from settling:
//!
//! 1. Intake asks here before an order is admitted ([`Rejections::begin`]). One whose request is rejected is refused
//!    with `REQUEST_REJECTED`, one whose request is being rejected with `OVERLOADED`.
//! 2. A rejection begins by barring further orders, and takes effect only if no order is in flight
//!    ([`Rejections::bar`]): what was admitted before is answered first. If that used the request's number, nothing is
//!    left to reject.
//!
//! [`crate::issuance_queue`] keeps rejections durably and brings them back at the start, after the log has been
//! replayed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cbdc_ledger::{BankId, Command, Outcome, Reason};
use tokio::sync::Notify;

/// A bank and the sequence number of its request.
pub type RequestKey = (BankId, u64);

/// The requests that are rejected, and the orders in flight.
#[derive(Clone, Default)]
pub struct Rejections(Arc<Shared>);

#[derive(Default)]
struct Shared {
    requests: Mutex<BTreeMap<RequestKey, State>>,
    /// Notified when orders were answered.
    answered: Notify,
}

#[derive(Default)]
struct State {
    orders_in_flight: usize,
    bar: Bar,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Bar {
    #[default]
    None,
    Begun,
    Rejected,
}

/// Admitted orders. Dropped once they are answered.
pub struct OrdersInFlight {
    rejections: Rejections,
    requests: Vec<RequestKey>,
}

/// A rejection that has begun. Dropped without taking effect, it is as if it had never been.
pub struct Barred {
    rejections: Rejections,
    request: RequestKey,
}

impl Rejections {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RequestKey, State>> {
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits the orders among some commands.
    ///
    /// # Errors
    /// The request that one of them carries is rejected, or is being rejected; none is admitted.
    pub fn begin(&self, commands: &[Command]) -> Result<OrdersInFlight, Outcome> {
        let requests: Vec<_> = commands.iter().filter_map(request_of).collect();
        let mut known = self.lock();
        for (bank, sequence) in &requests {
            match known.get(&(*bank, *sequence)).map(|state| state.bar).unwrap_or_default() {
                Bar::None => {}
                Bar::Begun => return Err(Outcome::refused(Reason::Overloaded, 0, 0)),
                Bar::Rejected => return Err(Outcome::refused(Reason::RequestRejected, 0, *sequence)),
            }
        }
        requests.iter().for_each(|request| known.entry(*request).or_default().orders_in_flight += 1);
        Ok(OrdersInFlight { rejections: self.clone(), requests })
    }

    /// Bars further orders that carry a request, and waits until those in flight are answered. `None` if the request is
    /// rejected already, or is being rejected.
    pub async fn bar(&self, request: RequestKey) -> Option<Barred> {
        {
            let mut known = self.lock();
            let state = known.entry(request).or_default();
            if state.bar != Bar::None {
                return None;
            }
            state.bar = Bar::Begun;
        }
        let barred = Barred { rejections: self.clone(), request };
        loop {
            let answered = self.0.answered.notified();
            if self.lock().get(&request).is_none_or(|state| state.orders_in_flight == 0) {
                return Some(barred);
            }
            answered.await;
        }
    }

    /// Makes a rejection that is kept take effect.
    pub fn restore(&self, request: RequestKey) {
        self.lock().entry(request).or_default().bar = Bar::Rejected;
    }

    /// Forgets a rejection whose request can settle no more in any case.
    pub fn forget(&self, request: RequestKey) {
        self.set(request, Bar::None);
    }

    fn set(&self, request: RequestKey, bar: Bar) {
        let mut known = self.lock();
        let state = known.entry(request).or_default();
        state.bar = bar;
        if bar == Bar::None && state.orders_in_flight == 0 {
            known.remove(&request);
        }
    }
}

impl Drop for Barred {
    fn drop(&mut self) {
        let is_rejected = self.rejections.lock().get(&self.request).is_some_and(|state| state.bar == Bar::Rejected);
        if !is_rejected {
            self.rejections.forget(self.request);
        }
    }
}

impl Drop for OrdersInFlight {
    fn drop(&mut self) {
        let mut known = self.rejections.lock();
        for request in &self.requests {
            let Some(state) = known.get_mut(request) else { continue };
            state.orders_in_flight -= 1;
            if state.orders_in_flight == 0 && state.bar == Bar::None {
                known.remove(request);
            }
        }
        drop(known);
        self.rejections.0.answered.notify_waiters();
    }
}

/// The request that a command carries.
fn request_of(command: &Command) -> Option<RequestKey> {
    match command {
        Command::Issuance(order) => {
            let request = &order.record.request.record;
            Some((request.bank, request.head.sequence))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use cbdc_ledger::command::{Head, IssuanceKind, IssuanceOrder, IssuanceRequest, Record};
    use cbdc_ledger::{Amount, MemberId, NetworkId, SigningKey};
    use futures::FutureExt;

    use super::*;

    const REQUEST: RequestKey = (BankId(1), 7);

    fn order(sequence: u64) -> [Command; 1] {
        let (key, network) = (SigningKey::from_seed([1; 32]), NetworkId([0; 32]));
        let head = Head { sequence, ..Head::default() };
        let request = IssuanceRequest { kind: IssuanceKind::Issue, head, bank: BankId(1), amount: Amount::ZERO };
        let order = IssuanceOrder { head, operator: MemberId(1), request: request.sign(network, &key) };
        [order.sign(network, &key).into()]
    }

    fn refused(rejections: &Rejections, sequence: u64) -> Option<Reason> {
        rejections.begin(&order(sequence)).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn a_rejection_waits_for_orders_in_flight_and_bars_all_after_it() {
        let rejections = Rejections::default();
        let in_flight = rejections.begin(&order(7)).unwrap();
        let mut barring = Box::pin(rejections.bar(REQUEST));
        assert!(barring.as_mut().now_or_never().is_none(), "the order may settle");
        assert_eq!((refused(&rejections, 7), refused(&rejections, 8)), (Some(Reason::Overloaded), None));
        drop(in_flight);
        let barred = barring.now_or_never().flatten().expect("nothing is in flight");
        assert!(rejections.bar(REQUEST).now_or_never().expect("it does not wait").is_none());
        rejections.restore(REQUEST);
        drop(barred);
        assert_eq!((refused(&rejections, 7), refused(&rejections, 8)), (Some(Reason::RequestRejected), None));
        rejections.forget(REQUEST);
        assert_eq!(refused(&rejections, 7), None);
        assert!(rejections.lock().is_empty());
    }

    #[test]
    fn a_rejection_that_does_not_take_effect_bars_nothing() {
        let rejections = Rejections::default();
        let in_flight = rejections.begin(&order(7)).unwrap();
        // Its caller gave up.
        assert!(rejections.bar(REQUEST).now_or_never().is_none());
        assert_eq!(refused(&rejections, 7), None);
        drop(rejections.bar((BankId(1), 8)).now_or_never().flatten().unwrap());
        drop(in_flight);
        assert!(rejections.lock().is_empty());
    }
}
