/**
 * Unpacker of the clusters of packed disk images, as native-bindings/bridge/unpack.cc defines it. It works on threads
 * of libuv's pool.
 */

/** Raw deflate (RFC 1951), deflate with zlib's header and sum (RFC 1950), and Zstandard (RFC 8878). */
export type Packing = 'deflate' | 'zlib' | 'zstd'

/** Numbers of a stream in the `streams` of {@link Unpacker.unpack}. */
export const streamNumbers = 5

export interface Unpacker {
  /** The library that is missing for a packing, in words; empty where there is none. */
  unpackComplaint(packing: Packing): string
  /**
   * Unpack streams of `packed` into places of `target`; neither buffer may be changed until it resolves.
   * @param streams five numbers for each stream: offset and length in `packed`, where bytes after the end of the stream
   * do not matter; offset and length in `target`; and the number of bytes that it has to give at least
   * @returns -1, or the index of the first stream that is damaged, or has too few or too many bytes
   * @throws Error when the library is missing
   */
  unpack(packing: Packing, packed: Uint8Array, streams: Uint32Array, target: Uint8Array): Promise<number>
}
