/**
 * Settings that workers get at their boot: as the mount was asked for, with the changes since, so that a worker that
 * takes over goes on with those of the one before.
 */
import { NextRun } from '../../async/next-run.ts'
import { CacheError } from '../../base/errors.ts'
import type { CacheMove, ConfigurationDocument, Settings } from '../config/settings.ts'

/** Other settings for the worker that takes over, which hold from its boot on: `onBooted` hears of it. */
export interface SettingsChange {
  /** Asked when a worker is about to have them: what is set meanwhile holds for it, too. */
  settings(): Settings
  readonly onBooted: () => void
}

export class WorkerSettings {
  /** Of many reloads at once, the file is read for the first and, once more, for the others. */
  readonly #reads: NextRun<ConfigurationDocument>
  #current: Settings
  /** Sent to a worker last. */
  #sent: ConfigurationDocument | null = null

  /** @param read what a configuration file says; throws CacheError invalid-argument */
  constructor(settings: Settings, read: (file: string) => Promise<ConfigurationDocument>) {
    this.#current = settings
    this.#reads = new NextRun(() => read(this.#current.configFile!))
  }

  get current(): Settings {
    return this.#current
  }

  /** Read the file again, for the worker to take it. @throws CacheError invalid-argument */
  async readAgain(): Promise<ConfigurationDocument> {
    const { configFile, mountpoint } = this.#current
    if (configFile === null) {
      const advice = 'there is nothing to read again'
      throw new CacheError('invalid-argument', `${mountpoint} was mounted without a configuration file: ${advice}`)
    }
    return (this.#sent = await this.#reads.run())
  }

  /**
   * The worker has taken what was read.
   * @param read as it is in effect, without what waits for the next mount; earlier workers do not say it
   */
  taken(read: ConfigurationDocument | null = this.#sent): void {
    const { move, leaving = [], document } = this.#current
    if (!read) return
    const [before, said] = [originsOf(document), originsOf(read)]
    // One that is named again stays; the others are not named any more, and still there.
    const left = leaving.filter(directory => !(directory in said) && directory in before)
    const kept = Object.fromEntries(left.map(directory => [directory, before[directory]]))
    const origins = left.length === 0 ? {} : { origins: { ...said, ...kept } }
    this.#current = { ...this.#current, document: { ...read, ...origins }, leaving: left }
    if (move) this.#current = withMove(this.#current, move)
  }

  /** An origin is leaving: workers that follow go on with that. */
  leaving(directory: string): void {
    const { leaving = [] } = this.#current
    this.#current = { ...this.#current, leaving: [...new Set([...leaving, directory])] }
  }

  /** Nothing of an origin is left. */
  removed(directory: string): void {
    const { document, leaving = [] } = this.#current
    const { [directory]: _removed, ...origins } = originsOf(document)
    const left = leaving.filter(each => each !== directory)
    this.#current = { ...this.#current, document: { ...document, origins }, leaving: left }
  }

  /** An operator has set another capacity. */
  setCapacity(capacity: number): void {
    const { document } = this.#current
    const { cache } = document as { readonly cache?: object }
    this.#current = { ...this.#current, document: { ...document, cache: { ...cache, capacity } } }
  }

  /** The file names another level. */
  setLogLevel(level: string): void {
    this.#current = { ...this.#current, log: { ...this.#current.log, level } }
  }

  /** The settings of a worker that tries the cache in another directory; nothing changes yet. */
  movingTo(move: Pick<CacheMove, 'from' | 'to' | 'passed'>): Settings {
    return withMove(this.#current, this.#begun(move, true))
  }

  /** A worker has booted there: all that follow do. */
  moved(move: Pick<CacheMove, 'from' | 'to' | 'passed'>): void {
    this.#current = withMove(this.#current, this.#begun(move, false))
  }

  /** The directory that the cache has left is empty. */
  cleaned(from: string): void {
    const { move } = this.#current
    if (!move) return
    const earlier = move.earlier?.filter(directory => directory !== from) ?? []
    const isClean = move.isClean || move.from === from
    this.#current = { ...this.#current, move: { ...move, isClean, earlier } }
  }

  /** The directories that moves before it have left stay to be emptied. */
  #begun({ from, to, passed }: Pick<CacheMove, 'from' | 'to' | 'passed'>, isNew: boolean): CacheMove {
    const { move } = this.#current
    const left = move ? [...(move.isClean ? [] : [move.from]), ...(move.earlier ?? [])] : []
    return { from, to, passed, isNew, isClean: false, earlier: left.filter(each => each !== from && each !== to) }
  }
}

function withMove(settings: Settings, move: CacheMove): Settings {
  const { document } = settings
  const { cache } = document as { readonly cache?: object }
  const { to } = move
  return { ...settings, cacheDirectory: to, document: { ...document, cache: { ...cache, directory: to } }, move }
}

function originsOf({ origins }: ConfigurationDocument): Readonly<Record<string, unknown>> {
  return typeof origins === 'object' && origins !== null ? (origins as Record<string, unknown>) : {}
}
