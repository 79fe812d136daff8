//! nginx, the yardstick of servers: one worker on the first core, connections kept.

use crate::{cores::on_first_core, process::free_port};
use anyhow::bail;
use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// Starts it on a free port, with more rules and with what it does at every path; none where it is not installed.
///
/// # Errors
/// When it does not listen.
pub fn start(folder: &Path, rules: &str, place: &str) -> anyhow::Result<Option<(Child, u16)>> {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
        .iter()
        .map(Path::new)
        .find(|p| p.exists());
    let Some(program) = program else { return Ok(None) };
    let port = free_port()?;
    let config = folder.join("nginx.conf");
    let home = folder.display();
    fs::write(
        &config,
        format!(
            "worker_processes 1; daemon off; master_process off; pid {home}/nginx.pid; error_log {home}/nginx.log crit;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;\n\
             fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;\n\
             keepalive_requests 1000000000;\n{rules}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ {place} }} }} }}\n"
        ),
    )?;
    let mut child = on_first_core(program)
        .arg("-c")
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            child.kill()?;
            bail!("nginx does not listen");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(Some((child, port)))
}
