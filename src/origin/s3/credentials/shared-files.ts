/**
 * AWS's shared files, `~/.aws/credentials` and `~/.aws/config`: the values of one profile.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files". Values of `credentials` count
 * before those of `config`, whose sections are `[profile NAME]`, and `[default]`.
 */
import { open } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { CacheError, messageOf } from '../../../base/errors.ts'
import type { AwsEnvironment } from './environment-keys.ts'
import { sharedFileBytesMax } from './limits.ts'

/** Values by name in small letters. */
export type Profile = ReadonlyMap<string, string>

export class SharedFiles {
  readonly #environment: AwsEnvironment
  /** The profile that the configuration or the environment names; null: `default`. */
  readonly named: string | null

  /** @param profile of the configuration; null: that of the environment */
  constructor(environment: AwsEnvironment, profile: string | null) {
    this.#environment = environment
    this.named = profile ?? (environment.AWS_PROFILE || environment.AWS_DEFAULT_PROFILE || null)
  }

  /**
   * The profile as the files have it now; null where neither has it.
   * @throws CacheError access-denied when one is not readable, or the profile that was named is in neither
   */
  async profile(): Promise<Profile | null> {
    const name = this.named ?? 'default'
    const home = join(this.#environment.HOME || homedir(), '.aws')
    const { AWS_CONFIG_FILE: config, AWS_SHARED_CREDENTIALS_FILE: credentials } = this.#environment
    const [general, keys] = await Promise.all([
      textOf(config || join(home, 'config')),
      textOf(credentials || join(home, 'credentials')),
    ])
    const isOwn = (section: string) => section === name
    const isOwnInConfig = (section: string) => {
      const [, word, profile] = /^(profile\s+)?(.*)$/.exec(section)!
      return profile === name && (word !== undefined || name === 'default')
    }
    const found = [...valuesIn(general, isOwnInConfig), ...valuesIn(keys, isOwn)]
    if (found.length > 0) return new Map(found)
    if (this.named === null) return null
    throw new CacheError('access-denied', `AWS's shared files have no profile ${JSON.stringify(name)}`)
  }
}

/** Names and values of the sections that are wanted. */
function valuesIn(text: string, isWanted: (section: string) => boolean): [string, string][] {
  const found: [string, string][] = []
  let isIn = false
  for (const line of text.split(/\r?\n/)) {
    const section = /^\[\s*(.*?)\s*\]/.exec(line)?.[1]
    if (section !== undefined) isIn = isWanted(section.replace(/"/g, ''))
    // Lines that are moved in belong to the value before them.
    const [, name, value] = /^([\w.-]+)\s*=\s*(.*)$/.exec(line) ?? []
    if (isIn && name !== undefined && value !== undefined) {
      found.push([name.toLowerCase(), value.replace(/\s[#;].*$/, '').trim()])
    }
  }
  return found
}

/** @returns nothing where there is no file */
async function textOf(file: string): Promise<string> {
  try {
    const handle = await open(file)
    try {
      const bytes = Buffer.alloc(sharedFileBytesMax + 1)
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
      if (bytesRead > sharedFileBytesMax) throw new Error(`it is longer than ${sharedFileBytesMax} bytes`)
      return bytes.toString('utf8', 0, bytesRead)
    } finally {
      await handle.close()
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw new CacheError('access-denied', `${file} is not usable: ${messageOf(cause)}`, { cause })
  }
}
