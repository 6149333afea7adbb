/**
 * Host files: what this host knows of its group and of its registrations, beside the cache in its directory. A move of
 * the cache takes them along.
 */
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HeldDirectory } from '../../base/held-directory.ts'

/** The members of the group, see fleet/asking/view-file.ts. */
export const membersFile = 'fleet-members.json'
/** See registrations-file.ts. */
export const registrationsFile = 'fleet-registrations.json'

/** Is it one of them, or one that was to take its place? */
export function isHostFile(name: string): boolean {
  return [membersFile, registrationsFile].some(file => name === file || name.startsWith(`${file}.`))
}

/** Those of another directory, as far as there are any. @throws SystemError */
export async function copyHostFiles(from: string, to: HeldDirectory): Promise<void> {
  for (const file of [membersFile, registrationsFile]) {
    try {
      await copyFile(join(from, file), to.at(file))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}
