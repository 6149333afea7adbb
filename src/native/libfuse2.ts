/** The addon's functions for libfuse 2, for the transport fuse-native. */

export interface Libfuse2 {
  /**
   * Load the libfuse 2 at `path` for good, with a loop of ours in place of its own: see
   * native-bindings/libfuse2/loop.h. Libraries that are linked against libfuse.so.2 and loaded afterwards find it.
   */
  loadLibfuse2(path: string): void
  /** The number of the loop of libfuse 2 that began last: that of the mount that said INIT last. 0 before the first. */
  latestLibfuse2Loop(): number
  /** Does that loop serve yet? Not once nothing is mounted any more, or its descriptor has failed. */
  isLibfuse2LoopRunning(loop: number): boolean
}
