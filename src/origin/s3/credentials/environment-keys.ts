/**
 * Keys in the environment. Source: AWS SDKs and Tools Reference Guide, "AWS access keys".
 */
import { type AwsKeys, type KeySource, keysOf } from './aws-keys.ts'

export type AwsEnvironment = Readonly<Record<string, string | undefined>>

export class EnvironmentKeys implements KeySource {
  readonly name = 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'
  readonly #environment: AwsEnvironment

  constructor(environment: AwsEnvironment) {
    this.#environment = environment
  }

  async keys(): Promise<AwsKeys | null> {
    const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = this.#environment
    return id && secret ? keysOf(id, secret, token, null) : null
  }
}
