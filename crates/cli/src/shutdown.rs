//! The end of a program that serves: Ctrl-C, SIGTERM, or the end of the program that started it.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for Ctrl-C, SIGTERM or, with `stop_with_parent`, the end of standard input; returns which it was. From the
/// call on, both signals end the program only through the future, so that whatever is being created is completed.
pub fn requested(stop_with_parent: bool) -> impl Future<Output = &'static str> {
    let (terminated, interrupted) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        tokio::select! {
            () = received(terminated) => "SIGTERM",
            () = received(interrupted) => "Ctrl-C",
            () = input_closed(), if stop_with_parent => "the program that started the node has ended",
        }
    }
}

async fn received(signal: std::io::Result<Signal>) {
    match signal {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// Reads standard input to its end, on a separate thread that does not keep the program from ending.
async fn input_closed() {
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).ok();
        closed.send(()).ok();
    });
    is_closed.await.ok();
}
