/**
 * Keys from AWS's own package, `@aws-sdk/credential-provider-node`: roles, single sign-on and web identities. It is
 * loaded when a profile or the environment needs it, and no part of parentfs.
 */
import { createRequire } from 'node:module'
import { CacheError, messageOf } from '../../../base/errors.ts'
import { type AwsKeys, type KeySource, keysOf } from './aws-keys.ts'
import type { AwsEnvironment } from './environment-keys.ts'

export const sdkPackage = '@aws-sdk/credential-provider-node'

interface SdkKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  readonly expiration?: Date
}

type Provider = (options?: { readonly forceRefresh?: boolean }) => Promise<SdkKeys>

/** The part of the package that is used. */
export interface SdkModule {
  defaultProvider(options: { readonly profile?: string }): Provider
}

const require = createRequire(import.meta.url)

/** Asks the package for the keys of a profile, or of the environment. */
export class SdkCredentials {
  readonly #profile: string | null
  readonly #load: () => SdkModule
  #provider: Provider | null = null

  /** @param load the package. @throws where it is not installed */
  constructor(profile: string | null, load: () => SdkModule = () => require(sdkPackage) as SdkModule) {
    this.#profile = profile
    this.#load = load
  }

  /** @throws CacheError access-denied */
  async keys(isAgain: boolean): Promise<AwsKeys> {
    this.#provider ??= this.#loaded().defaultProvider(this.#profile === null ? {} : { profile: this.#profile })
    const said = await this.#provider({ forceRefresh: isAgain })
    return keysOf(said.accessKeyId, said.secretAccessKey, said.sessionToken, said.expiration?.getTime() ?? null)
  }

  #loaded(): SdkModule {
    try {
      return this.#load()
    } catch (cause) {
      const message = `roles, single sign-on and web identities need the package ${sdkPackage}: npm install ${sdkPackage}`
      throw new CacheError('access-denied', `${message} (${messageOf(cause).split('\n')[0]})`, { cause })
    }
  }
}

/** A web identity in the environment, such as that of a pod. */
export class WebIdentityKeys implements KeySource {
  readonly name = 'AWS_WEB_IDENTITY_TOKEN_FILE'
  readonly #environment: AwsEnvironment
  readonly #sdk: Pick<SdkCredentials, 'keys'>

  constructor(environment: AwsEnvironment, sdk: Pick<SdkCredentials, 'keys'>) {
    this.#environment = environment
    this.#sdk = sdk
  }

  async keys(isAgain: boolean): Promise<AwsKeys | null> {
    const { AWS_WEB_IDENTITY_TOKEN_FILE: file, AWS_ROLE_ARN: role } = this.#environment
    return file && role ? await this.#sdk.keys(isAgain) : null
  }
}
