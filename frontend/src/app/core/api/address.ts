/** The address of the API, without a slash at its end: of this server, unless the page says otherwise. */
export const apiAddress: string =
  document.querySelector<HTMLMetaElement>('meta[name="slipway-api"]')?.content.replace(/\/$/, '') ??
  '';
