//! api-sidecar
