import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

/** A picture, as a file or as a `data:` address. */
export function Thumbnail({ picture }: { picture: File | string }) {
  const url = useSignal('');
  useEffect(() => {
    if (typeof picture === 'string') {
      url.value = picture;
      return;
    }
    const made = URL.createObjectURL(picture);
    url.value = made;
    return () => URL.revokeObjectURL(made);
  }, [picture]);
  const alt = typeof picture === 'string' ? 'The picture of this row' : picture.name;
  return url.value === '' ? null : <img class="thumbnail" src={url.value} alt={alt} />;
}
