fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let run = |path: &str| match args[1].as_str() {
        "directory" => ringmaster::cli::commands::serve::directory(path.as_ref(), &[]),
        _ => ringmaster::cli::commands::serve::fileserver(path.as_ref(), &[]),
    };
    run(&args[3]).unwrap_or_else(|e| { eprintln!("error: {e:#}"); std::process::ExitCode::FAILURE })
}
