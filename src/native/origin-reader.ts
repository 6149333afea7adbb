/**
 * An open image as native threads can ask it by themselves: made by one addon and given to another, opaque in between.
 * See native-bindings/image/origin-reader.h.
 */

declare const opaque: unique symbol

export interface OriginReader {
  readonly [opaque]: never
}
