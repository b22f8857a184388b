"""From a file on disk to a uint8 item of a batch: sources, decoding, crops, operations on images, sampling."""
