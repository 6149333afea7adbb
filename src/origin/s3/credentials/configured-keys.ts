/**
 * Keys of the configuration: an access key id, and secrets from where the operator keeps them.
 */
import type { SecretOptions, SecretSource } from '../../http/secret.ts'
import { Secret } from '../../http/secret.ts'
import { type AwsKeys, type KeySource, keysOf } from './aws-keys.ts'

export interface ConfiguredKeysOptions {
  readonly accessKeyId: string
  readonly secretAccessKey: SecretSource
  readonly sessionToken?: SecretSource | undefined
}

export class ConfiguredKeys implements KeySource {
  readonly name = 'the configuration'
  readonly #accessKeyId: string
  readonly #secrets: readonly Secret[]

  constructor({ accessKeyId, secretAccessKey, sessionToken }: ConfiguredKeysOptions, options: SecretOptions) {
    this.#accessKeyId = accessKeyId
    const sources = sessionToken === undefined ? [secretAccessKey] : [secretAccessKey, sessionToken]
    this.#secrets = sources.map(source => new Secret(source, options))
  }

  async keys(isAgain: boolean): Promise<AwsKeys> {
    const [secret, token] = await Promise.all(this.#secrets.map(each => (isAgain ? each.renew() : each.value())))
    return keysOf(this.#accessKeyId, secret, token, null)
  }
}
