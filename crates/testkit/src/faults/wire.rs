//! Faults below the certificates: what answers is no TLS, another version, or nobody.

use super::{Fault, NoConnection, Scene, Wire};

pub(super) fn build(code: &str) -> Option<Fault> {
    let (side, scene) = match code {
        "not_tls" => ("client", Scene::Wire(Wire::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()))),
        "plain_http" => ("client", Scene::Wire(Wire::SpokenToInPlain)),
        "unrecognized_name" => ("client", Scene::Wire(Wire::Alert(112))),
        "key_kind_unsupported" => ("server", Scene::Wire(Wire::Alert(40))),
        "protocol_violation" => ("client", Scene::Wire(Wire::Alert(50))),
        "peer_internal_error" => ("server", Scene::Wire(Wire::Alert(80))),
        "canceled" => ("server", Scene::Wire(Wire::Alert(90))),
        "session_refused" => ("client", Scene::Wire(Wire::Alert(115))),
        "encrypted_client_hello_required" => ("client", Scene::Wire(Wire::Alert(121))),
        "alert_received" => ("server", Scene::Wire(Wire::Alert(99))),
        "handshake_failure" => ("client", Scene::Alert(40)),
        "closed_without_alert" => ("server", Scene::Wire(Wire::Close)),
        "connection_reset" => ("server", Scene::Wire(Wire::Reset)),
        "timeout" => ("server", Scene::Wire(Wire::Silence)),
        "large_client_hello_dropped" => ("network", Scene::Wire(Wire::DropsLargeHello(700))),
        "proxy_refused" => ("environment", Scene::Wire(Wire::RefusingProxy)),
        "connection_refused" => ("server", Scene::NoConnection(NoConnection::Refused)),
        "name_not_resolved" => ("network", Scene::NoConnection(NoConnection::NotResolved)),
        "unreachable" => ("network", Scene::NoConnection(NoConnection::Unreachable)),
        _ => return None,
    };
    Some(Fault { side, scene })
}
