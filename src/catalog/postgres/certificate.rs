//! The checks of a server's certificate that rustls does not make: version 1 certificates, and the host name as libpq
//! compares it.

use std::net::IpAddr;

use rustls::{crypto::CryptoProvider, pki_types::SignatureVerificationAlgorithm};
use x509_cert::{
    certificate::Version,
    der::{Decode as _, Encode as _, asn1::AnyRef, oid::AssociatedOid as _, oid::ObjectIdentifier},
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, name::GeneralName},
};

/// The common name, an attribute of the subject.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// The purpose of TLS servers, in the extended key usage.
const SERVER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
/// Any purpose, in the extended key usage.
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// A parsed certificate.
pub struct Certificate(x509_cert::Certificate);

impl Certificate {
    /// Parses DER.
    #[must_use]
    pub fn parse(der: &[u8]) -> Option<Self> {
        x509_cert::Certificate::from_der(der).ok().map(Self)
    }

    /// Whether it is of version 1 and has no extensions.
    #[must_use]
    pub fn is_version_1(&self) -> bool {
        self.0.tbs_certificate.version == Version::V1
    }

    /// Whether its subject equals its issuer.
    #[must_use]
    pub fn issued_itself(&self) -> bool {
        self.0.tbs_certificate.subject == self.0.tbs_certificate.issuer
    }

    /// Whether it is a certificate authority.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.extension::<BasicConstraints>().is_some_and(|constraints| constraints.ca)
    }

    /// Whether the time is in its period of validity.
    #[must_use]
    pub fn is_valid_at(&self, unix: u64) -> bool {
        let validity = &self.0.tbs_certificate.validity;
        let (from, until) = (validity.not_before, validity.not_after);
        (from.to_unix_duration().as_secs()..=until.to_unix_duration().as_secs()).contains(&unix)
    }

    /// Whether a TLS server may use it: its purposes allow it, and it has no unknown critical extension.
    #[must_use]
    pub fn may_be_a_servers(&self) -> bool {
        let known =
            [BasicConstraints::OID, KeyUsage::OID, ExtendedKeyUsage::OID, SubjectAltName::OID];
        let extensions = self.0.tbs_certificate.extensions.iter().flatten();
        let understood =
            extensions.filter(|ext| ext.critical).all(|ext| known.contains(&ext.extn_id));
        let purposes = self.extension::<ExtendedKeyUsage>();
        understood
            && purposes.is_none_or(|all| all.0.contains(&SERVER) || all.0.contains(&ANY_PURPOSE))
    }

    /// Whether another certificate's key signed it, and its issuer is that certificate's subject.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &Self, provider: &CryptoProvider) -> bool {
        if self.0.tbs_certificate.issuer != issuer.0.tbs_certificate.subject {
            return false;
        }
        let (Ok(signed), Some(named)) =
            (self.0.tbs_certificate.to_der(), inner(&self.0.signature_algorithm))
        else {
            return false;
        };
        let algorithms = provider.signature_verification_algorithms.all.iter();
        let mut named = algorithms.filter(|known| known.signature_alg_id().as_ref() == named);
        named.any(|algorithm| issuer.signed(*algorithm, &signed, self.0.signature.raw_bytes()))
    }

    /// Whether its key made this signature of a message.
    #[must_use]
    pub fn signed(
        &self,
        algorithm: &dyn SignatureVerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let info = &self.0.tbs_certificate.subject_public_key_info;
        let of_the_key = inner(&info.algorithm);
        of_the_key.is_some_and(|id| id == algorithm.public_key_alg_id().as_ref())
            && algorithm
                .verify_signature(info.subject_public_key.raw_bytes(), message, signature)
                .is_ok()
    }

    /// Its public key, in DER.
    #[must_use]
    pub fn public_key_info(&self) -> Vec<u8> {
        self.0.tbs_certificate.subject_public_key_info.to_der().unwrap_or_default()
    }

    /// Whether it is for this host, as in libpq's `verify-full`: the alternative names decide; without one of the
    /// host's kind, the first common name decides.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let address: Option<IpAddr> = host.parse().ok();
        let alternatives = self.extension::<SubjectAltName>().map_or(Vec::new(), |names| names.0);
        let mut has_kind = false;
        for name in &alternatives {
            let matches = match name {
                GeneralName::DnsName(name) => {
                    has_kind |= address.is_none();
                    is_name_for(name.as_str(), host, address.is_some())
                }
                GeneralName::IpAddress(bytes) => {
                    has_kind |= address.is_some();
                    address.is_some_and(|address| octets(address) == bytes.as_bytes())
                }
                _ => false,
            };
            if matches {
                return true;
            }
        }
        !has_kind
            && self.common_name().is_some_and(|name| is_name_for(&name, host, address.is_some()))
    }

    fn common_name(&self) -> Option<String> {
        let parts = self.0.tbs_certificate.subject.0.iter().flat_map(|parts| parts.0.iter());
        let name = parts.into_iter().find(|part| part.oid == COMMON_NAME)?;
        // A zero byte would end the name for a C program but not for this one.
        let text = std::str::from_utf8(name.value.value()).ok()?;
        (!text.contains('\0')).then(|| text.to_owned())
    }

    fn extension<'a, T>(&'a self) -> Option<T>
    where
        T: x509_cert::der::Decode<'a> + x509_cert::der::oid::AssociatedOid,
    {
        self.0.tbs_certificate.get::<T>().ok().flatten().map(|(_, extension)| extension)
    }
}

/// The content of an algorithm identifier, in the form that rustls uses.
fn inner(identifier: &x509_cert::spki::AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let der = identifier.to_der().ok()?;
    Some(AnyRef::from_der(&der).ok()?.value().to_vec())
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A leading `*.` matches one label; it never matches an address.
fn is_name_for(name: &str, host: &str, is_address: bool) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(suffix), Some((first, rest))) = (name.strip_prefix("*."), host.split_once('.'))
    else {
        return false;
    };
    !is_address && !first.is_empty() && !suffix.is_empty() && suffix.eq_ignore_ascii_case(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_the_first_label_alone() {
        for (name, host, fits) in [
            ("db.example.com", "db.example.com", true),
            ("DB.Example.com", "db.example.COM", true),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "a.db.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("d*.example.com", "db.example.com", false),
            ("*", "db", false),
            ("*.", "db.", false),
            ("localhost", "localhost.example", false),
        ] {
            assert_eq!(is_name_for(name, host, false), fits, "{name} {host}");
        }
        assert!(!is_name_for("*.0.0.1", "127.0.0.1", true));
        assert!(is_name_for("127.0.0.1", "127.0.0.1", true));
    }
}
