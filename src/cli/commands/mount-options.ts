/**
 * The `-o` options of `parentfs mount`, as mount(8) and fstab write them: `uid=1000,gid=1000,mode=0440,allow_other,
 * on_outage=wait, miss_seconds=60`.
 *
 * Options that every mount has (read-only, no devices, no set-uid) may be given and change nothing; the opposite is
 * refused.
 */

import { CacheError } from '../../base/errors.ts'
import { outageChoices } from '../../daemon/config/settings.ts'

export interface MountOptions {
  /** As the configuration has them; null: not said. */
  readonly attributes: { readonly uid: number | null; readonly gid: number | null; readonly mode?: string }
  /** Null: not said. */
  readonly allowOther: boolean | null
  /** Of the origin. */
  readonly origin: { readonly onOutage?: string; readonly missTimeout?: string }
}

/** The options that are known, for help and for complaints. */
export const mountOptionsKnown = [
  'uid=',
  'gid=',
  'mode=',
  'allow_other',
  'noallow_other',
  'on_outage=',
  'miss_seconds=',
] as const

/** True of every parentfs mount, or meant for the tools that read fstab. */
const implied = new Set([
  'ro',
  'nosuid',
  'nodev',
  'default_permissions',
  'defaults',
  'auto',
  'noauto',
  'nofail',
  '_netdev',
])

/**
 * @param texts the value of each `-o`, in order; a later option wins
 * @throws CacheError invalid-argument: unknown option, or a value that is not one
 */
export function parseMountOptions(texts: readonly string[]): MountOptions {
  let [uid, gid, allowOther]: [number | null, number | null, boolean | null] = [null, null, null]
  let mode: { readonly mode?: string } = {}
  const origin: { onOutage?: string; missTimeout?: string } = {}
  for (const option of texts.flatMap(text => text.split(',')).filter(option => option !== '')) {
    const [name, value] = splitOnce(option)
    if (name === 'uid' && value !== null) uid = parseId(option, value)
    else if (name === 'gid' && value !== null) gid = parseId(option, value)
    else if (name === 'mode' && value !== null) mode = { mode: parseMode(option, value) }
    else if (name === 'on_outage' && value !== null) origin.onOutage = parseOutage(option, value)
    else if (name === 'miss_seconds' && value !== null) origin.missTimeout = parseSeconds(option, value)
    else if (option === 'allow_other') allowOther = true
    else if (option === 'noallow_other') allowOther = false
    else if (!implied.has(option)) throw unusable(option, `known are ${mountOptionsKnown.join(', ')}`)
  }
  return { attributes: { uid, gid, ...mode }, allowOther, origin }
}

function parseOutage(option: string, value: string): string {
  if (!outageChoices.some(choice => choice === value)) throw unusable(option, `there is ${outageChoices.join(', ')}`)
  return value
}

/** A duration as the configuration has it. */
function parseSeconds(option: string, value: string): string {
  if (!/^[1-9]\d{0,4}$/.test(value)) throw unusable(option, 'give whole seconds, from 1')
  return `${value}s`
}

function splitOnce(option: string): [string, string | null] {
  const at = option.indexOf('=')
  return at < 0 ? [option, null] : [option.slice(0, at), option.slice(at + 1)]
}

/** A user or group id: 32 bits, and all ones means "none" to the kernel. */
function parseId(option: string, value: string): number {
  const id = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN
  if (!(id < 0xffffffff)) throw unusable(option, 'give a numeric id')
  return id
}

/** Permission bits, octal. Write bits are refused: nothing here can be written. */
function parseMode(option: string, value: string): string {
  if (!/^0?[0-7]{3}$/.test(value)) throw unusable(option, 'give three octal digits, like 0444')
  if ((Number.parseInt(value, 8) & 0o222) !== 0)
    throw unusable(option, 'the mount is read-only, leave the write bits out')
  return value
}

function unusable(option: string, advice: string): CacheError {
  return new CacheError('invalid-argument', `mount option "${option}" is not usable: ${advice}`)
}
