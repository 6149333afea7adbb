/**
 * An open image as native threads can ask it by themselves: made by one addon and given to another, opaque in between.
 * See native-bindings/store/source.h.
 */

declare const opaque: unique symbol

export interface NativeSource {
  readonly [opaque]: never
}
