/**
 * Settings of an origin in a registry, beside those of a web server.
 */
import { z } from 'zod'
import type { Logger } from '../../base/logger.ts'
import type { SecretSource } from '../../origin/http/secret.ts'
import { platformOf } from '../../origin/oci/platform.ts'
import type { OriginOptions } from '../../origin/open-origin.ts'
import { booleanField, pathField, setting, shown } from './setting-fields.ts'

const word = (what: string, pattern: RegExp) =>
  z
    .string({ error: ({ input }) => `${shown(input)} is not ${what}` })
    .regex(pattern, { error: ({ input }) => `${shown(input)} is not ${what}` })
    .nullable()
    .default(null)

export const ociFields = {
  platform: setting(word('a platform: write it like linux/amd64', /^[a-z0-9]+\/[a-z0-9_-]+(\/[a-z0-9.]+)?$/), {
    kind: 'text',
    range: 'OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, like linux/arm64',
    live: true,
    what: 'oci: the entries of an index that are shown',
    unset: 'linux and the architecture of this host',
  }),
  diskType: setting(word('a disk type: write it like qcow2', /^[\w.-]{1,64}$/), {
    kind: 'text',
    range: 'a word, like qcow2 or raw',
    live: true,
    what: 'oci: the annotation `disktype` that an entry of an index has to have',
    unset: 'any, and none',
  }),
  insecure: booleanField({
    live: true,
    what: 'oci and glance: HTTP without TLS is spoken with the host of the URL',
    unset: 'on loopback addresses only',
  }),
  dockerConfig: pathField({
    live: true,
    what: "oci: docker's config.json or podman's auth.json with the login for the registry; `basic` comes before it",
    unset: 'where docker and podman look: `REGISTRY_AUTH_FILE`, `XDG_RUNTIME_DIR`, `DOCKER_CONFIG`, `HOME`',
  }),
}

interface OciSettings {
  readonly platform: string | null
  readonly diskType: string | null
  readonly insecure: boolean | null
  readonly dockerConfig: string | null
  readonly basic?: { readonly username: string; readonly password: SecretSource } | undefined
}

/** The same, as src/origin/open-origin.ts wants it. */
export function ociOptionsOf(settings: OciSettings, logger: Logger): OriginOptions['oci'] {
  const { platform, diskType, insecure, dockerConfig, basic } = settings
  return {
    platform: platform === null ? null : platformOf(platform),
    diskType,
    isInsecure: insecure,
    login: { basic: basic ?? null, file: dockerConfig, secrets: { logger } },
  }
}
