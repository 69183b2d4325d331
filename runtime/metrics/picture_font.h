// The built-in bitmap font: ASCII 32..126, proportional, 7 pixels above the base line and 2 below.
#pragma once

#include <stdbool.h>

enum { XV_GLYPH_ROWS = 9, XV_GLYPH_COLUMNS = 5 };

// Whether font pixel (column, row) of a character is set; false outside the glyph.
bool xv_glyph_pixel(unsigned char character, int column, int row);

// Columns the character occupies, without the gap to the next.
int xv_glyph_width(unsigned char character);
