import 'layers.dsl'
