//! `[server]`: where and how to serve.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::file::{File, Scalar};
use super::value::Setting;
use super::{Ack, ConfigError, Environment, Machine, Server, Wait, first};
use crate::cli::ServeArgs;
use crate::limits::{ALLOWED_ORIGINS_MAX, BUSY_SPIN_CORES_MIN};
use crate::placement::Placement;

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8050);

pub(super) fn server(
    args: &ServeArgs,
    environment: &Environment,
    machine: &Machine,
    file: &File,
) -> Result<Server, ConfigError> {
    let section = &file.server;
    let ack = first(Some(("--ack", &args.ack)), None, ("server.ack", &section.ack));
    let wait = first(Some(("--wait", &args.wait)), None, ("server.wait", &section.wait));
    let wait = match wait {
        Some(setting) => setting.one_of(&[
            ("busy-spin", Wait::BusySpin),
            ("yield", Wait::Yield),
            ("park", Wait::Park),
        ])?,
        None if machine.cores.len() >= BUSY_SPIN_CORES_MIN => Wait::BusySpin,
        None => Wait::Yield,
    };
    let data_dir = args.data_dir.clone().or_else(|| section.data_dir.clone());
    Ok(Server {
        listen: listen(args, environment, file)?,
        data_dir: data_dir.unwrap_or_else(|| PathBuf::from("data")),
        ack: match ack {
            Some(setting) => setting.one_of(&[("durable", Ack::Durable), ("memory", Ack::Memory)])?,
            None => Ack::Durable,
        },
        wait,
        placement: placement(args, machine, file, wait)?,
        allowed_origins: allowed_origins(&section.allowed_origins)?,
    })
}

fn listen(args: &ServeArgs, environment: &Environment, file: &File) -> Result<SocketAddr, ConfigError> {
    if let Some(text) = &args.listen {
        return Setting::new("--listen", text).socket_address();
    }
    let mut address = match &file.server.listen {
        Some(text) => Setting::new("server.listen", text.as_str()).socket_address()?,
        None => DEFAULT_LISTEN,
    };
    if let Some(text) = environment.read("DASHBOARD_HOST") {
        address.set_ip(Setting::new("DASHBOARD_HOST", text).host()?);
    }
    if let Some(text) = environment.read("DASHBOARD_PORT") {
        address.set_port(Setting::new("DASHBOARD_PORT", text).whole(0..=u16::MAX)?);
    }
    Ok(address)
}

/// Who names a core, or `any`, has the say over both threads.
fn placement(args: &ServeArgs, machine: &Machine, file: &File, wait: Wait) -> Result<Placement, ConfigError> {
    let section = &file.server;
    let engine = first(
        Some(("--engine-core", &args.engine_core)),
        None,
        ("server.engine_core", &section.engine_core),
    );
    let gateway = first(
        Some(("--gateway-core", &args.gateway_core)),
        None,
        ("server.gateway_core", &section.gateway_core),
    );
    if engine.is_none() && gateway.is_none() {
        return Ok(Placement::standard(wait, &machine.cores));
    }
    let core = |setting: Option<Setting>| setting.map_or(Ok(None), |setting| core(&setting, machine));
    Ok(Placement {
        engine: core(engine)?,
        gateway: core(gateway)?,
        followers: None,
    })
}

fn core(setting: &Setting, machine: &Machine) -> Result<Option<usize>, ConfigError> {
    match setting.text.parse::<usize>() {
        Ok(core) if machine.cores.contains(&core) => Ok(Some(core)),
        Err(_) if setting.text == "any" => Ok(None),
        _ => {
            let cores: Vec<String> = machine.cores.iter().map(usize::to_string).collect();
            Err(setting.invalid(format!(
                "must be any or a core of this machine ({})",
                cores.join(", ")
            )))
        }
    }
}

fn allowed_origins(texts: &[Scalar]) -> Result<Vec<String>, ConfigError> {
    let key = "server.allowed_origins";
    if texts.len() > ALLOWED_ORIGINS_MAX {
        return Err(ConfigError::setting(
            key,
            format!("lists more than {ALLOWED_ORIGINS_MAX} origins"),
        ));
    }
    texts
        .iter()
        .map(|text| Setting::new(key, text.as_str()).origin())
        .collect()
}
