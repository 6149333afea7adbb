/**
 * Options of an origin in a registry.
 */
import { silentLogger } from '../../base/logger.ts'
import type { StreamDecoders } from '../../native/stream-decoder.ts'
import type { SecretOptions } from '../http/secret.ts'
import type { Platform } from './manifest.ts'
import type { LoginSources } from './registry-login.ts'

export interface OciOptions {
  /** Chooses among the manifests of an index; null: the platform of this host. */
  readonly platform: Platform | null
  /** The annotation disktype that an entry of an index has to have; null: any. */
  readonly diskType: string | null
  /** Speak HTTP without TLS; null: on loopback alone. */
  readonly isInsecure: boolean | null
  /** Unpack layers in Zstandard; null: those are refused. */
  readonly decoders: StreamDecoders | null
  readonly login: LoginSources & { readonly secrets: SecretOptions }
}

export const ociOptionsDefault: OciOptions = {
  platform: null,
  diskType: null,
  isInsecure: null,
  decoders: null,
  login: { basic: null, file: null, secrets: { logger: silentLogger } },
}
