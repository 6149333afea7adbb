/**
 * Private copy of the worker's program, in memory: later workers start from files that no installation touches and no
 * disk delays.
 *
 * It is made some time after the mount, one file after the other, because the first reads come first and many mounts
 * are short-lived. Until then, and where it cannot be made, workers start from the installation. Addons are copied
 * where a worker has them loaded, and linked otherwise: packages bring those of other machines along. The copy goes
 * with its supervisor; the remains of a killed one are replaced.
 */
import { constants } from 'node:fs'
import { copyFile, mkdir, readdir, rm, stat, symlink } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { prepareRuntimeDirectory } from '../../admin/socket-path.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { type WorkerProgramFiles, workerProgramFilesOf } from './worker-program-files.ts'

export interface WorkerProgramCopyContext {
  /** Places for copies, the best first; programs have to be executable there. */
  readonly places: readonly string[]
  /** The main program of the version in a directory; null: our own. @throws CacheError */
  mainIn(directory: string | null): string
  /** The delay, once it is known that a copy is needed. */
  readonly afterMs: number
  readonly logger: Logger
}

/** The program to copy, and those of its addons that a worker has loaded. */
interface Wanted {
  readonly directory: string | null
  /** Paths of addons. */
  readonly loaded: readonly string[]
}

export class WorkerProgramCopy {
  readonly #parts: WorkerProgramCopyContext
  #timer: NodeJS.Timeout | undefined
  /** Grows with each version: a copy of one before is not used. */
  #serial = 0
  /** The program of the copy; null: there is none yet. */
  #ready: string | null = null
  /** The version that serves; null: our own. */
  #served: string | null = null
  readonly #made: string[] = []
  #making: Promise<void> = Promise.resolve()

  constructor(parts: WorkerProgramCopyContext) {
    this.#parts = parts
  }

  /** The program that workers of that version are started with. @throws CacheError as `mainIn` */
  mainOf(directory: string | null): string {
    return this.#ready !== null && directory === this.#served ? this.#ready : this.#parts.mainIn(directory)
  }

  /** The program of the version that serves. @throws CacheError as `mainIn` */
  get servedMain(): string {
    return this.mainOf(this.#served)
  }

  /** Workers of that version serve from now on, as it lies there now. @param loaded addons of theirs */
  serves(wanted: Wanted): void {
    const serial = ++this.#serial
    this.#ready = null
    this.#served = wanted.directory
    clearTimeout(this.#timer)
    const begin = () => {
      this.#making = this.#making.then(() => this.#make(wanted, serial)) // Never rejects.
    }
    this.#timer = setTimeout(begin, this.#parts.afterMs).unref()
  }

  /** No copy is left. Idempotent. */
  async close(): Promise<void> {
    this.#serial++
    this.#ready = null
    clearTimeout(this.#timer)
    await this.#making
    for (const directory of this.#made) await rm(directory, { recursive: true, force: true })
  }

  async #make({ directory, loaded }: Wanted, serial: number): Promise<void> {
    const { logger, mainIn, places } = this.#parts
    const place = places[0]
    if (serial !== this.#serial || place === undefined) return
    const target = `${place}-${serial}`
    const beganMs = performance.now()
    try {
      const main = mainIn(directory)
      const program = workerProgramFilesOf(main)
      const before = await markOf(program)
      await this.#clear(place)
      this.#made.push(target)
      const directories = new Set<string>()
      for (const file of program.files) {
        if (serial !== this.#serial) return
        const isLeftThere = extname(file.path) === '.node' && !loaded.includes(file.path)
        const to = join(target, file.place)
        if (!directories.has(dirname(to))) await mkdir(dirname(to), { recursive: true, mode: 0o700 })
        directories.add(dirname(to))
        if (isLeftThere) await symlink(file.path, to)
        else await copyFile(file.path, to, constants.COPYFILE_EXCL)
      }
      if ((await markOf(program)) !== before) throw new Error('it was replaced meanwhile')
      if (serial !== this.#serial) return
      this.#ready = join(target, program.mainPlace)
      const tookMs = Math.round(performance.now() - beganMs)
      logger.info({ target, files: program.files.length, tookMs }, 'workers start from a copy of the program')
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'workers start from the installation: the program was not copied')
    }
  }

  /**
   * Removes copies of versions before, and of a supervisor that was killed. Workers that started from them serve no
   * more.
   */
  async #clear(place: string): Promise<void> {
    const directory = dirname(place)
    prepareRuntimeDirectory(directory, { uid: process.geteuid?.() ?? 0, userDirectory: undefined })
    for (const name of await readdir(directory)) {
      if (name.startsWith(`${basename(place)}-`)) await rm(join(directory, name), { recursive: true, force: true })
    }
  }
}

/** An installation puts another manifest there. */
async function markOf({ files }: WorkerProgramFiles): Promise<string> {
  const manifest = files[0]!.path
  const { dev, ino, ctimeMs } = await stat(manifest)
  return `${dev} ${ino} ${ctimeMs}`
}
