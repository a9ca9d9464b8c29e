//! A node's life on its host: started, serving, and stopped, or ended by itself.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use cbdc_ordering::Leadership;
use tokio::sync::watch;

use crate::leadership::Told;

/// What a node's host tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    #[default]
    Starting,
    Serving,
    /// Stopped as it was asked to.
    Stopped,
    /// It could not start, or ended by itself.
    Ended(String),
}

fn set(state: &Mutex<State>, to: State) {
    *state.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

/// A node of either kind, started.
pub trait Started: Sized + Send + 'static {
    /// Why it ended by itself, once it has.
    fn ended(&mut self) -> impl Future<Output = String> + Send;

    /// Who leads, as a node of the central bank knows it.
    fn leadership(&self) -> Option<watch::Receiver<Leadership>>;

    /// Stops it in order.
    fn stop(self) -> impl Future<Output = ()> + Send;
}

impl Started for cbdc_central_bank::Node {
    async fn ended(&mut self) -> String {
        reason(self.stopped().await)
    }

    fn leadership(&self) -> Option<watch::Receiver<Leadership>> {
        Some(cbdc_central_bank::Node::leadership(self))
    }

    async fn stop(self) {
        self.shutdown().await;
    }
}

impl Started for cbdc_bank::Node {
    fn leadership(&self) -> Option<watch::Receiver<Leadership>> {
        None
    }

    async fn ended(&mut self) -> String {
        reason(self.stopped().await)
    }

    async fn stop(self) {
        self.shutdown().await;
    }
}

fn reason(ended: Result<(), impl Display>) -> String {
    ended.err().map_or_else(|| "without a reason".to_owned(), |error| error.to_string())
}

/// The main task of a node's host.
pub async fn live<N: Started, E: Display>(
    starting: impl Future<Output = Result<N, E>>,
    mut stop: watch::Receiver<bool>,
    (state, told): (Arc<Mutex<State>>, Arc<Told>),
) {
    let mut node = match starting.await {
        Ok(node) => node,
        Err(error) => return set(&state, State::Ended(error.to_string())),
    };
    if let Some(leadership) = node.leadership() {
        drop(told.set(leadership));
    }
    set(&state, State::Serving);
    let asked = async { drop(stop.wait_for(|stops| *stops).await) };
    tokio::select! {
        biased;
        why = node.ended() => set(&state, State::Ended(why)),
        () = asked => {
            node.stop().await;
            set(&state, State::Stopped);
        }
    }
}
