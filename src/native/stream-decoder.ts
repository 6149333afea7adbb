/**
 * Decoders of packed files, as native-bindings/bridge/stream-decoder.cc defines them. They work on threads of libuv's
 * pool.
 */

/** gzip (RFC 1952), xz (the .xz file format), and Zstandard (RFC 8878). */
export type FileFormat = 'gzip' | 'xz' | 'zstd'

export interface DecoderStep {
  /** Bytes of the input that are not needed any more, and bytes that were put out. */
  readonly taken: number
  readonly given: number
  /** All that was taken makes whole streams. */
  readonly isOver: boolean
  /** The file is damaged, or asks for too much memory; the decoder has ended. */
  readonly isBad: boolean
}

/** One step at a time. */
export interface StreamDecoder {
  /**
   * Neither buffer may be changed until it resolves.
   * @param isLast no input comes after this one
   * @throws Error while another step runs, and after the end
   */
  decode(input: Uint8Array, isLast: boolean, output: Uint8Array): Promise<DecoderStep>
  /** Gives its memory back; not while a step runs. Idempotent. */
  end(): void
}

export interface StreamDecoders {
  /** The library that is missing for a format, in words; empty where there is none. */
  streamDecoderComplaint(format: FileFormat): string
  /** @throws Error when the library is missing */
  createStreamDecoder(format: FileFormat): StreamDecoder
}
