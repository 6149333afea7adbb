/**
 * Stream detector: finds the sequences in the reads of one image, contiguous or with a stride. Many are woven into each
 * other, as a hypervisor reads for its guest through one handle. Pure: it says what to prefetch, and fetches nothing.
 *
 * Not every read is seen here: stored blocks are answered natively. The first read of each prefetched unit is reported
 * (see readahead-buffer.ts), so that a stream is seen at least once a unit.
 *
 * All numbers are blocks of the image.
 */

/** Blocks [from, to). */
export interface Span {
  readonly from: number
  readonly to: number
}

/** A read as it was seen. */
export interface SeenRead extends Span {
  /** Did it wait for the origin? */
  readonly stalled: boolean
  /** Did it need blocks that had not been fetched, or that have gone since? */
  readonly missed: boolean
  /** A session thread fetched what it needed, maybe before that was wished for: nothing is lost. */
  readonly isNative?: boolean | undefined
}

export interface StreamLimits {
  /** Blocks that a reader has come without a gap before anything is fetched ahead of it: less is a small file. */
  readonly runMin: number
  /** Blocks of the least request: a smaller one would cost as much. */
  readonly requestMin: number
  /** Blocks that are fetched ahead of a new stream, and of one that has gone on for long. */
  readonly windowMin: number
  readonly windowMax: number
  /** Blocks that the path carries in the time of one wait: fetched ahead, they cost no more time than they may save. */
  readonly waitBlocks: number
  /** Blocks of a run from which on as many are fetched ahead of a reader that waits: a multiple of the run at most. */
  readonly waitRunMin: number
  readonly waitRunsMax: number
}

/** Streams that are remembered by image, those seen once included. */
const streamsMax = 64
/**
 * The distance behind the front within which a read is still part of a stream, in windows at least and blocks at most.
 */
const lateBlocksMax = 32
/** Steps of equal length that make a stream. */
const equalStepsMin = 3
/** Reads that are kept to find equal steps in. */
const recentMax = 16
/** The longest step, in blocks: what is further apart shares nothing. */
const stepMax = 4096
/** Steps that are fetched ahead at most. */
const stepsAheadMax = 32

/** One sequence of reads. */
export class Stream {
  /** Its position: the block after the last one read. */
  position: number
  /** Everything before it has been asked for. */
  frontier: number
  /** Blocks to be ahead; 0 until it is known to be a stream. */
  window = 0
  /** Blocks from the begin of one read to that of the next; 0 for one without gaps. */
  readonly stride: number
  /** Blocks of one read of a stream with steps. */
  readonly runLength: number
  /** Its first block. */
  readonly #start: number
  #grownAt: number
  #leftTo: number

  constructor(position: number, step = 0, length = 1) {
    this.position = position
    this.#start = position - length
    this.#leftTo = position
    this.frontier = position
    this.stride = step
    this.runLength = length
    this.#grownAt = position
  }

  /** The length of its gapless run, in blocks; 0 for one with a stride. */
  get advance(): number {
    return this.stride === 0 ? this.position - this.#start : 0
  }

  /** The blocks wanted from `block` on are not fetched: for want of room, not because they were of no use. */
  rewindFrontier(block: number): void {
    if (this.stride === 0) this.frontier = Math.max(this.position, Math.min(this.frontier, block))
  }

  /** Is `block` one that it reads, has read just now, or will? Not of one with steps. */
  covers(block: number): boolean {
    const lag = Math.max(lateBlocksMax, this.window)
    return this.stride === 0 && block >= this.position - lag && block < Math.max(this.position, this.frontier)
  }

  /**
   * True for a range that the stream has already passed. Native hits are reported late, up to some MiB behind, and must
   * not start a new stream.
   */
  alreadyRead({ from, to }: Span): boolean {
    return this.window > 0 && this.stride === 0 && from >= this.#start && to <= this.position
  }

  /** Is a piece that ends before `to` still ahead of the reader? */
  wants(to: number): boolean {
    return this.stride !== 0 || to > this.position
  }

  /**
   * The blocks that a long stream has left `lag` blocks behind it since the last time: they will hardly be read again
   * soon.
   * @returns null for few
   */
  takeDropBehind(lag: number): Span | null {
    const to = this.position - lag
    if (this.stride !== 0 || to - this.#leftTo < lag / 4) return null
    const from = this.#leftTo
    this.#leftTo = to
    return { from, to }
  }

  /** Prefetched blocks have gone unread. */
  shrink(): void {
    this.window = Math.max(1, Math.floor(this.window / 2))
    this.#grownAt = this.position
  }

  /**
   * Twice the window when the reader has come so far again; at most half of all it has come. A reader that waits leaves
   * a part of the path empty: its window doubles at each trip, as TCP's does, and is at most all that it has come. On a
   * path that carries more in the time of a wait, it is that at once.
   */
  grow(limits: StreamLimits, stalled: boolean): void {
    const { runMin, windowMin, windowMax } = limits
    const come = Math.abs(this.position - this.#start)
    const worth = stalled ? this.#worth(limits) : 0
    if (worth > this.window) {
      this.window = worth
      this.#grownAt = this.position
      return
    }
    const advanced = Math.abs(this.position - this.#grownAt)
    const comeMin = this.window === 0 ? runMin : (stalled ? 2 : 4) * this.window
    if (this.stride === 0 && come < comeMin) return
    if (this.window > 0 && !(stalled && advanced > 0) && advanced < this.window) return
    this.window = Math.min(windowMax, Math.max(windowMin, 2 * this.window))
    this.#grownAt = this.position
  }

  /** Blocks that cost no more time than the wait that they may save. */
  #worth({ waitBlocks, waitRunMin, waitRunsMax, windowMax }: StreamLimits): number {
    if (this.advance < waitRunMin) return 0
    return Math.floor(Math.min(waitBlocks, waitRunsMax * this.advance, windowMax))
  }
}

/** Blocks to prefetch for a stream, nearest first. */
export interface StreamPrediction {
  readonly stream: Stream
  readonly spans: readonly Span[]
}

export class StreamDetector {
  /** The one seen last is last. */
  readonly #streams: Stream[] = []
  readonly #recent: Span[] = []

  /** Streams that are being fetched ahead. */
  get active(): number {
    return this.#streams.filter(({ window }) => window > 0).length
  }

  /** Is `block` part of a stream that has come so far? */
  isLongStream(block: number, comeMin: number): boolean {
    return this.#streams.some(stream => stream.advance >= comeMin && stream.covers(block))
  }

  /** Note a read. @returns what to fetch ahead; null when it is part of no stream yet */
  observe(read: SeenRead, limits: StreamLimits): StreamPrediction | null {
    const stepping = this.#streams.find(stream => isStepOf(stream, read))
    if (stepping) return this.#step(stepping, read, limits)
    const stream = this.#streams.findLast(candidate => belongs(candidate, read))
    if (stream) return this.#continue(stream, read, limits)
    if (!read.stalled && this.#streams.some(each => each.alreadyRead(read))) return null
    const step = this.#equalStep(read)
    this.#recent.push(read)
    if (this.#recent.length > recentMax) this.#recent.shift()
    const begun =
      step === 0 ? new Stream(read.to, 0, read.to - read.from) : new Stream(read.from, step, read.to - read.from)
    this.#touch(begun)
    return step === 0 ? null : this.#step(begun, read, limits)
  }

  #continue(stream: Stream, read: SeenRead, limits: StreamLimits): StreamPrediction | null {
    this.#touch(stream)
    // Prefetched blocks that are missing have been evicted, or never found room.
    const isAhead = read.from >= stream.position && read.to <= stream.frontier
    const isLost = read.missed && !read.isNative && stream.window > 0 && isAhead
    if (isLost) {
      stream.shrink()
      stream.frontier = read.to
    }
    if (read.to <= stream.position) return null
    stream.position = read.to
    const windowMin = Math.max(limits.windowMin, 2 * (read.to - read.from))
    if (!isLost) stream.grow({ ...limits, windowMin }, read.stalled)
    if (stream.window === 0) return null
    const from = Math.max(stream.frontier, stream.position)
    const to = stream.position + stream.window
    // Not for a little: pieces are to be large.
    if (to - from < Math.max(stream.window / 4, Math.min(stream.window / 2, limits.requestMin))) return null
    stream.frontier = to
    return { stream, spans: [{ from, to }] }
  }

  #step(stream: Stream, read: SeenRead, limits: StreamLimits): StreamPrediction {
    this.#touch(stream)
    const { stride: step, runLength: length } = stream
    stream.position = read.from + step
    stream.grow({ ...limits, windowMin: 2 * length }, read.stalled)
    const steps = Math.min(stepsAheadMax, Math.max(1, Math.floor(stream.window / length)))
    const spans = Array.from({ length: steps }, (_, k) => {
      const from = read.from + (k + 1) * step
      return { from, to: from + length }
    })
    return { stream, spans }
  }

  /** The step that this read and some before it are apart, each from the next; 0 when there is none. */
  #equalStep(read: Span): number {
    for (const previous of this.#recent) {
      const step = read.from - previous.from
      if (step === 0 || Math.abs(step) > stepMax) continue
      let steps = 1
      const has = (from: number) => this.#recent.some(other => other.from === from)
      while (steps < equalStepsMin && has(previous.from - steps * step)) steps++
      if (steps === equalStepsMin) return step
    }
    return 0
  }

  #touch(stream: Stream): void {
    const at = this.#streams.indexOf(stream)
    if (at >= 0) this.#streams.splice(at, 1)
    else if (this.#streams.length >= streamsMax) this.#streams.shift()
    this.#streams.push(stream)
  }
}

/** Is a read one of the next steps of a stream? */
function isStepOf({ stride: step, position }: Stream, { from }: Span): boolean {
  if (step === 0) return false
  const steps = (from - position) / step
  return Number.isInteger(steps) && steps >= 0 && steps < stepsAheadMax
}

/** Is a read part of a sequence without gaps? Long reads may come in another order than they were begun. */
function belongs({ stride: step, position, frontier, window }: Stream, { from, to }: Span): boolean {
  if (step !== 0) return false
  const late = window > 0 ? Math.min(lateBlocksMax, 2 * window) : 0
  const early = 4 * (to - from - 1)
  return from >= position - Math.max(late, to - from - 1) && from <= Math.max(position, frontier) + early
}
