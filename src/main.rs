//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The one provider of TLS, for all that speaks it. Nobody was here before who could have brought another one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    evenkeel::cli::main()
}
