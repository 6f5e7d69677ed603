//! Tasks that the controller depends on: one that ends or panics is told and started again, never missed in silence.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::handle::Handle;

/// The pause before a task is started again; it doubles with each time, up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);
/// Who ran for so long has the first pause again.
const STEADY: Duration = Duration::from_secs(300);

/// Runs a task for as long as the controller runs. `start` makes it, each time anew.
pub fn supervise<F>(
    task: &'static str,
    control: Handle,
    start: impl Fn() -> F + Send + 'static,
) -> AbortOnDropHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut pause = PAUSE;
        loop {
            let began = Instant::now();
            let reason = match AbortOnDropHandle::new(tokio::spawn(start())).await {
                Ok(()) => "it ended".to_owned(),
                Err(error) => error.to_string(),
            };
            if control.has_ended() {
                return;
            }
            if began.elapsed() > STEADY {
                pause = PAUSE;
            }
            control.task_ended(task, reason).await;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }))
}
