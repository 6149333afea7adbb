/**
 * `parentfs profile`: boot profiles, from here to another host, or to the place beside their images.
 */

import { readFileSync, statSync } from 'node:fs'
import { importProfile, requestProfile } from '../../admin/admin-client.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import { formatProfileFile, type ProfileFile, parseProfileFile } from '../../cache/prefetch/profile-file.ts'
import { size } from '../output/tables.ts'
import { remark, say } from '../output/terminal-output.ts'
import { findImage, noDaemon } from './target.ts'

/**
 * @param image its name or path
 * @param path of the mount; null: as the image says, or the only one
 * @param isWhole print all of it, for `import` and for publishers
 * @returns the exit code: 1 when there is none
 * @throws CacheError not-found, origin-*, access-denied, closed
 */
export async function printProfile(image: string, path: string | null, isWhole: boolean): Promise<number> {
  const { mountpoint, socket, name } = await findImage(image, path)
  const answer = await requestProfile(socket, name, false)
  if (!answer) throw await noDaemon(mountpoint)
  const { profile } = answer
  if (!profile) {
    remark(`${name}: no boot profile; one is learned in the two minutes after a cold open`)
    return 1
  }
  if (isWhole) process.stdout.write(formatProfileFile(profile.file))
  else say(`${name}: ${described(profile.file)}, learned from ${profile.openers} cold opens`)
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
  if (!(await importProfile(socket, name, formatProfileFile(profile)))) throw await noDaemon(mountpoint)
  say(`${name}: the profile is fetched ahead at the next cold open`)
  return 0
}

/**
 * @param image file of the image that it is published with; null: not compared
 * @returns the exit code: 1 when it was recorded from an image of another size
 * @throws CacheError invalid-argument
 */
export function checkProfile(file: string, image: string | null): number {
  const profile = readProfile(file)
  const { sizeBytes, validator } = profile
  const version = validator === null ? 'any version of this size' : `the version ${validator}`
  say(`${file}: ${described(profile)}, of an image of ${sizeBytes} bytes, for ${version}`)
  const found = image === null ? sizeBytes : sizeOf(image)
  if (found === sizeBytes) return 0
  remark(`${image} has ${found} bytes: hosts would take the profile for the one of another version`)
  return 1
}

function readProfile(file: string): ProfileFile {
  try {
    return parseProfileFile(readFileSync(file, 'utf8'))
  } catch (error) {
    const advice = 'give a file that "parentfs profile record" or "parentfs profile export" wrote'
    throw new CacheError('invalid-argument', `${file}: ${messageOf(error)}: ${advice}`, { cause: error })
  }
}

function sizeOf(image: string): number {
  try {
    return statSync(image).size
  } catch (cause) {
    throw new CacheError('invalid-argument', `${image}: ${messageOf(cause)}`, { cause })
  }
}

/** Amount and steps. */
export function described({ ranges }: ProfileFile): string {
  return `${size(ranges.reduce((sum, [, length]) => sum + length, 0))} in ${ranges.length} steps`
}
