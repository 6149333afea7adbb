/**
 * `parentfs profile`: what was learned of an image, from here to another host.
 */

import { readFileSync } from 'node:fs'
import { importProfile, requestProfile } from '../../admin/admin-client.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { ProfileRecord } from '../../index/format/records.ts'
import { size } from '../output/tables.ts'
import { remark, say } from '../output/terminal-output.ts'
import { findImage, noDaemon } from './target.ts'

/**
 * @param image its name or path
 * @param path of the mount; null: as the image says, or the only one
 * @param isWhole print all of it, for `import`
 * @returns the exit code: 1 when there is none
 * @throws CacheError not-found, origin-*, access-denied, closed
 */
export async function printProfile(image: string, path: string | null, isWhole: boolean): Promise<number> {
  const { mountpoint, socket, name } = await findImage(image, path)
  const answer = await requestProfile(socket, name)
  if (!answer) throw noDaemon(mountpoint)
  const { profile } = answer
  if (!profile) {
    remark(`${name}: no boot profile; one is learned in the two minutes after a cold open`)
    return 1
  }
  if (isWhole) process.stdout.write(`${JSON.stringify(profile)}\n`)
  else say(`${name}: ${described(profile)}`)
  return 0
}

/**
 * @param file what was exported
 * @returns the exit code
 * @throws CacheError invalid-argument, not-found, overloaded, origin-*, access-denied, closed
 */
export async function takeProfile(image: string, file: string, path: string | null): Promise<number> {
  const profile = readProfile(file)
  const { mountpoint, socket, name } = await findImage(image, path)
  if (!(await importProfile(socket, name, profile))) throw noDaemon(mountpoint)
  say(`${name}: the profile is fetched ahead at the next cold open`)
  return 0
}

function readProfile(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    const advice = 'give a file with what "parentfs profile export" printed'
    throw new CacheError('invalid-argument', `${file}: ${messageOf(error)}: ${advice}`, { cause: error })
  }
}

/** One line. */
function described({ blockBytes, openers, runs }: ProfileRecord): string {
  const blocks = runs.reduce((sum, [, count]) => sum + count, 0)
  return `${size(blocks * blockBytes)} in ${runs.length} steps, learned from ${openers} cold opens`
}
