#include <stdio.h>

__attribute__((constructor)) static void begin(void)
{
    FILE *stream = fopen("plugin-begins", "w");
    fputs("constructor\n", stream);
    fclose(stream);
}

__attribute__((destructor)) static void end(void)
{
    FILE *stream = fopen("plugin-ends", "w");
    fputs("destructor\n", stream);
    fclose(stream);
}
