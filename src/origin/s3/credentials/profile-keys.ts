/**
 * Keys of a profile in AWS's shared files: written there, given by a program, or by AWS's own package where the profile
 * needs a role, single sign-on or a web identity.
 */
import { CacheError, messageOf } from '../../../base/errors.ts'
import { outputOfProgram } from '../../http/secret.ts'
import { type AwsKeys, type KeySource, keysInJson, keysOf } from './aws-keys.ts'
import type { Profile, SharedFiles } from './shared-files.ts'

/** Settings of a profile that AWS's own package understands. */
const settingsOfSdk = [
  'role_arn',
  'sso_session',
  'sso_start_url',
  'sso_account_id',
  'web_identity_token_file',
  'login_session',
]

export class ProfileKeys implements KeySource {
  readonly name = "AWS's shared files"
  readonly #files: SharedFiles
  readonly #sdk: (isAgain: boolean) => Promise<AwsKeys>

  /** @param sdk asks AWS's own package */
  constructor(files: SharedFiles, sdk: (isAgain: boolean) => Promise<AwsKeys>) {
    this.#files = files
    this.#sdk = sdk
  }

  async keys(isAgain: boolean): Promise<AwsKeys | null> {
    const profile = await this.#files.profile()
    if (profile === null) return null
    if (settingsOfSdk.some(name => profile.has(name))) return await this.#sdk(isAgain)
    const id = profile.get('aws_access_key_id')
    if (id !== undefined)
      return keysOf(id, profile.get('aws_secret_access_key'), profile.get('aws_session_token'), null)
    const keys = await keysOfProcess(profile)
    if (keys !== null || this.#files.named === null) return keys
    throw new CacheError('access-denied', `the profile ${JSON.stringify(this.#files.named)} has no keys`)
  }
}

/** @throws Error, with nothing of what the program wrote */
async function keysOfProcess(profile: Profile): Promise<AwsKeys | null> {
  const command = profile.get('credential_process')
  if (command === undefined) return null
  const [program, ...args] = wordsIn(command)
  if (program === undefined) throw new Error('its credential_process is empty')
  try {
    return keysInJson(await outputOfProgram([program, ...args]))
  } catch (cause) {
    throw new Error(`credential_process ${program}: ${messageOf(cause)}`, { cause })
  }
}

/** The words of a command, as a shell would take them: quotes and backslashes, nothing else. */
export function wordsIn(command: string): string[] {
  const words = command.match(/(?:"(?:\\.|[^"])*"|'[^']*'|\\.|[^\s"'])+/g) ?? []
  return words.map(word =>
    word.replace(/"((?:\\.|[^"])*)"|'([^']*)'|\\(.)/g, (_, double?: string, single?: string, letter?: string) =>
      double === undefined ? (single ?? letter ?? '') : double.replace(/\\(["\\$`])/g, '$1'),
    ),
  )
}
