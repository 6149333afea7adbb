/**
 * Makes a directory and those above it. Node's own `mkdirSync` with `recursive` never ends where the file system
 * refuses a new directory with ENOENT, as /proc does: it takes the directory above for missing, and tries again.
 */
import { lstatSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * @param path absolute. A directory that is there is a success
 * @param mode of the directories that are made
 * @throws the system's error
 */
export function makeDirectories(path: string, mode = 0o777): void {
  const missing: string[] = []
  for (let at = path; lstatSync(at, { throwIfNoEntry: false }) === undefined && at !== dirname(at); at = dirname(at)) {
    missing.push(at)
  }
  for (const directory of missing.reverse()) {
    try {
      mkdirSync(directory, { mode })
    } catch (error) {
      // Another process was quicker.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}
