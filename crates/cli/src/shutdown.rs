//! The end of a program that serves: Ctrl-C, SIGTERM, or the end of the program that started it.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C, SIGTERM or, with `stop_with_parent`, the end of standard input; returns which it was.
pub async fn requested(stop_with_parent: bool) -> &'static str {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = terminated => "SIGTERM",
        () = interrupted => "Ctrl-C",
        () = input_closed(), if stop_with_parent => "the program that started the node has ended",
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
