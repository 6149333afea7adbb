/** Verification by the OpenSSL of the process. */
#include "verity/signature.h"

#include <climits>
#include <memory>

#include "syscalls/loaded-function.h"

namespace parentfs::verity {

namespace {

using Any = void;
using Password = int (*)(char* into, int bytes, int is_for_writing, void* argument);

/** The prototypes stay for all of OpenSSL 3. Source: include/openssl/{bio,pem,x509,cms,stack,err}.h.in. */
struct Cms {
  Any* (*BIO_new_mem_buf)(const void* bytes, int length);
  int (*BIO_free)(Any* bio);
  Any* (*PEM_read_bio_X509)(Any* bio, Any** into, Password password, void* argument);
  void (*X509_free)(Any* certificate);
  Any* (*PEM_read_bio_CMS)(Any* bio, Any** into, Password password, void* argument);
  Any* (*d2i_CMS_bio)(Any* bio, Any** into);
  void (*CMS_ContentInfo_free)(Any* cms);
  int (*CMS_verify)(Any* cms, Any* certificates, Any* store, Any* content, Any* out, unsigned flags);
  Any* (*OPENSSL_sk_new_null)();
  int (*OPENSSL_sk_push)(Any* stack, const void* item);
  void (*OPENSSL_sk_pop_free)(Any* stack, void (*free)(Any*));
  void (*ERR_clear_error)();
};

/** Source: include/openssl/cms.h.in. */
constexpr unsigned no_certificates_inside = 0x10;
constexpr unsigned no_chain = 0x20;
constexpr unsigned detached = 0x40;
constexpr unsigned binary = 0x80;

const Cms* cms_functions() {
  static Cms found;
  static const bool is_there =
      syscalls::find_loaded(found.BIO_new_mem_buf, "BIO_new_mem_buf") && syscalls::find_loaded(found.BIO_free, "BIO_free") &&
      syscalls::find_loaded(found.PEM_read_bio_X509, "PEM_read_bio_X509") && syscalls::find_loaded(found.X509_free, "X509_free") &&
      syscalls::find_loaded(found.PEM_read_bio_CMS, "PEM_read_bio_CMS") && syscalls::find_loaded(found.d2i_CMS_bio, "d2i_CMS_bio") &&
      syscalls::find_loaded(found.CMS_ContentInfo_free, "CMS_ContentInfo_free") && syscalls::find_loaded(found.CMS_verify, "CMS_verify") &&
      syscalls::find_loaded(found.OPENSSL_sk_new_null, "OPENSSL_sk_new_null") && syscalls::find_loaded(found.OPENSSL_sk_push, "OPENSSL_sk_push") &&
      syscalls::find_loaded(found.OPENSSL_sk_pop_free, "OPENSSL_sk_pop_free") && syscalls::find_loaded(found.ERR_clear_error, "ERR_clear_error");
  return is_there ? &found : nullptr;
}

/** No password is asked for. */
int no_password(char* /*into*/, int /*bytes*/, int /*is_for_writing*/, void* /*argument*/) { return -1; }

using Owned = std::unique_ptr<Any, void (*)(Any*)>;

Owned memory(const Cms& cms, const void* bytes, std::size_t length) {
  static const Cms* functions = &cms;
  if (length == 0 || length > INT_MAX) return {nullptr, [](Any*) {}};
  return {cms.BIO_new_mem_buf(bytes, static_cast<int>(length)), [](Any* bio) { (void)functions->BIO_free(bio); }};
}

}  // namespace

std::string signature_complaint(const std::vector<std::string>& certificates, std::span<const std::byte> signature,
                                std::span<const std::byte> content) {
  const Cms* const cms = cms_functions();
  if (cms == nullptr) return "the process has no OpenSSL that verifies signatures";
  static const Cms* functions = cms;
  const Owned stack(cms->OPENSSL_sk_new_null(), [](Any* all) { functions->OPENSSL_sk_pop_free(all, functions->X509_free); });
  int count = 0;
  for (const std::string& text : certificates) {
    const Owned bio = memory(*cms, text.data(), text.size());
    while (bio) {
      Any* certificate = cms->PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr);
      if (certificate == nullptr) break;
      if (cms->OPENSSL_sk_push(stack.get(), certificate) > 0) count++;
      else cms->X509_free(certificate);
    }
  }
  cms->ERR_clear_error();
  if (count == 0) return "the certificates cannot be read";
  const auto read = [&](auto parse) {
    const Owned bio = memory(*cms, signature.data(), signature.size());
    Owned made(bio ? parse(bio.get()) : nullptr, [](Any* info) { functions->CMS_ContentInfo_free(info); });
    cms->ERR_clear_error();
    return made;
  };
  Owned info = read([&](Any* bio) { return cms->d2i_CMS_bio(bio, nullptr); });
  if (!info) info = read([&](Any* bio) { return cms->PEM_read_bio_CMS(bio, nullptr, no_password, nullptr); });
  if (!info) return "the signature is no PKCS#7 in DER or PEM";
  const Owned text = memory(*cms, content.data(), content.size());
  if (!text) return "there is nothing that is signed";
  const int right = cms->CMS_verify(info.get(), stack.get(), nullptr, text.get(), nullptr,
                                    no_certificates_inside | no_chain | detached | binary);
  cms->ERR_clear_error();
  return right == 1 ? "" : "the signature is not by one of the certificates, or of another text";
}

}  // namespace parentfs::verity
