//! Leading: whether this node takes commands, or another node of the central bank does.
//!
//! A node that orders alone leads as long as it runs. One of several leads from the moment at which it has applied
//! everything that earlier leaders ordered, so that it refuses nothing for lack of it, until it hears of a successor.
//!
//! A leader that hands over lets what it has taken end. Calls and streams wait meanwhile: they are told where the new
//! leader is, or go on here if there is none.

use cbdc_ledger::MemberId;
use cbdc_proto::status::not_leader;
use tokio::sync::watch;
use tonic::Status;

/// Another node, which leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    pub member: MemberId,
    /// The address at which members reach it.
    pub address: String,
}

/// The part that this node plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Leads,
    /// It leads, and takes no more commands.
    HandsOver,
    /// Another node leads, if one is known to.
    Follows(Option<Leader>),
}

/// Whether this node leads, to be asked and to be watched.
#[derive(Debug)]
pub struct Leading(watch::Sender<Standing>);

impl Leading {
    /// A node that leads, or does not know yet who does.
    pub fn new(leads: bool) -> Leading {
        let standing = if leads { Standing::Leads } else { Standing::Follows(None) };
        Leading(watch::channel(standing).0)
    }

    /// Whether this node orders what it has taken.
    pub fn leads(&self) -> bool {
        !matches!(&*self.0.borrow(), Standing::Follows(_))
    }

    /// The part that this node plays, with notification of changes.
    pub fn watch(&self) -> watch::Receiver<Standing> {
        self.0.subscribe()
    }

    /// Sets the part, and tells those who watch if it is another one.
    pub fn set(&self, standing: Standing) {
        self.0.send_if_modified(|known| {
            let is_new = *known != standing;
            *known = standing;
            is_new
        });
    }

    /// Begins to hand over; false if this node does not lead.
    pub fn begin_to_hand_over(&self) -> bool {
        self.0.send_if_modified(|known| {
            let leads = *known == Standing::Leads;
            if leads {
                *known = Standing::HandsOver;
            }
            leads
        })
    }

    /// Leads on after a hand-over that was given up.
    pub fn lead_on(&self) {
        self.0.send_if_modified(|known| {
            let handed_over = *known == Standing::HandsOver;
            if handed_over {
                *known = Standing::Leads;
            }
            handed_over
        });
    }

    /// Waits until this node takes commands.
    ///
    /// # Errors
    /// `NOT_LEADER`: another node does, or none.
    pub async fn require(&self) -> Result<(), Status> {
        let mut watch = self.watch();
        let known = watch.wait_for(|standing| *standing != Standing::HandsOver).await;
        match known.as_deref() {
            Ok(Standing::Follows(leader)) => Err(refusal(leader.as_ref())),
            _ => Ok(()),
        }
    }

    /// Waits until this node takes commands, however long that takes.
    pub async fn until_it_takes(&self) {
        let mut watch = self.watch();
        // The sender lives as long as `self`.
        let _ = watch.wait_for(|standing| *standing == Standing::Leads).await;
    }

    /// Waits until this node does not lead; returns the status with which streams end then.
    pub async fn until_deposed(&self) -> Status {
        let mut watch = self.watch();
        loop {
            if let Standing::Follows(leader) = &*watch.borrow_and_update() {
                return refusal(leader.as_ref());
            }
            // The sender lives as long as `self`.
            let _ = watch.changed().await;
        }
    }
}

fn refusal(leader: Option<&Leader>) -> Status {
    not_leader(leader.map(|leader| leader.address.as_str()))
}

#[cfg(test)]
mod tests {
    use cbdc_proto::status::leader_named_by;
    use futures::FutureExt;

    use super::*;

    fn other() -> Leader {
        Leader { member: MemberId(2), address: "10.0.0.2:7000".to_owned() }
    }

    #[test]
    fn calls_wait_for_the_end_of_a_hand_over_and_are_told_who_leads() {
        let leading = Leading::new(true);
        assert!(leading.require().now_or_never().unwrap().is_ok());
        assert!(leading.begin_to_hand_over() && leading.leads());
        let mut waiting = Box::pin(leading.require());
        assert!(waiting.as_mut().now_or_never().is_none() && leading.until_deposed().now_or_never().is_none());
        leading.set(Standing::Follows(Some(other())));
        let refused = waiting.now_or_never().unwrap().unwrap_err();
        assert_eq!(leader_named_by(&refused), Some(Some(other().address)));
        assert!(!leading.leads() && !leading.begin_to_hand_over());
    }

    #[test]
    fn a_hand_over_that_is_given_up_changes_nothing() {
        let leading = Leading::new(true);
        leading.begin_to_hand_over();
        leading.lead_on();
        assert!(leading.require().now_or_never().unwrap().is_ok());
        // One that was overtaken by another leader is not taken back.
        leading.begin_to_hand_over();
        leading.set(Standing::Follows(None));
        leading.lead_on();
        assert_eq!(leader_named_by(&leading.require().now_or_never().unwrap().unwrap_err()), Some(None));
    }
}
