/**
 * Signatures of root hashes: detached PKCS#7 (CMS), as systemd has them for images of disks, against certificates that
 * an operator names. A signer has to be one of those; validity times and chains are not looked at.
 *
 * Source: OpenSSL CMS_verify(3); systemd src/shared/dissect-image.c, validate_signature_userspace.
 */
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace parentfs::verity {

/**
 * @param certificates texts in PEM, each with one or more
 * @param signature DER or PEM
 * @returns the reason why the content is not signed by one of them; empty when it is
 */
std::string signature_complaint(const std::vector<std::string>& certificates, std::span<const std::byte> signature,
                                std::span<const std::byte> content);

}  // namespace parentfs::verity
