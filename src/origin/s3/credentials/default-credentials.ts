/**
 * The order in which keys are looked for: as AWS's own tools have it.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers"; botocore, credentials.py: a profile
 * that the configuration names comes before the environment.
 */
import type { Logger } from '../../../base/logger.ts'
import { AwsCredentials } from './aws-credentials.ts'
import { ConfiguredKeys, type ConfiguredKeysOptions } from './configured-keys.ts'
import { ContainerKeys } from './container-keys.ts'
import { type AwsEnvironment, EnvironmentKeys } from './environment-keys.ts'
import { InstanceKeys } from './instance-keys.ts'
import { ProfileKeys } from './profile-keys.ts'
import { SdkCredentials, WebIdentityKeys } from './sdk-keys.ts'
import type { SharedFiles } from './shared-files.ts'

export interface CredentialsWanted {
  /** Keys of the configuration: no other place is asked. */
  readonly keys: ConfiguredKeysOptions | null
  /** A profile that the configuration names. */
  readonly profile: string | null
  readonly environment: AwsEnvironment
  readonly logger: Logger
  readonly now: () => number
}

export function defaultCredentials(wanted: CredentialsWanted, files: SharedFiles): AwsCredentials {
  const { keys, profile, environment } = wanted
  if (keys !== null) return new AwsCredentials([new ConfiguredKeys(keys, wanted)], wanted)
  const sdk = new SdkCredentials(files.named)
  const ofProfile = new ProfileKeys(files, isAgain => sdk.keys(isAgain))
  if (profile !== null) return new AwsCredentials([ofProfile], wanted)
  const sources = [
    new EnvironmentKeys(environment),
    new WebIdentityKeys(environment, sdk),
    ofProfile,
    new ContainerKeys(environment),
    new InstanceKeys(environment),
  ]
  return new AwsCredentials(sources, wanted)
}
